/* SPDX-License-Identifier: Apache-2.0
 *
 * Watches the configuration files, where watch_files says so: a change in gateway.conf or of a
 * *.conf in conf.d beside it is told once, when it has been quiet for a moment, so that an editor's
 * or a configuration tool's many steps are one reload. Directories are watched, not files: both
 * replace files by renaming, and mounted configuration swaps a symlink. Included files elsewhere
 * are not watched.
 */
#ifndef GW_DISCOVERY_FILES_H
#define GW_DISCOVERY_FILES_H

#include "shm/base/loop.h"

#define FILES_QUIET_MS 250

struct discovery_files;
typedef void discovery_files_f(void *arg);

/* conf_file: the main file. fn is called from the loop. NULL with *error_r. */
struct discovery_files *discovery_files_new(struct loop *loop, const char *conf_file,
    discovery_files_f *fn, void *arg, const char **error_r);
void discovery_files_free(struct discovery_files **f);

#endif
