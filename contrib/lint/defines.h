/* SPDX-License-Identifier: Apache-2.0
 *
 * What GNUmakefile defines on the command line, for the checkers: the values do not matter to them.
 */
#ifndef GW_LINT_DEFINES_H
#define GW_LINT_DEFINES_H

#define _GNU_SOURCE  1
#define GW_VERSION   "0"
#define GW_CONF_DIR  "/"
#define GW_RUN_DIR   "/"
#define GW_STATE_DIR "/"
#define GW_LOG_DIR   "/"

#endif
