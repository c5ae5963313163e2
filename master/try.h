/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway -t and -T: the same loader and the same check and compile as a reload, and nothing else:
 * no socket is bound, no instance touched, no privilege needed.
 */
#ifndef GW_TRY_H
#define GW_TRY_H

/* Both return the exit status: 0 the configuration is good, 1 it is not. */
int try_configuration(const char *conf_file);
int try_show(const char *conf_file);

#endif
