/* SPDX-License-Identifier: Apache-2.0
 *
 * The error log: levelled lines "2026-11-21T02:00:00.123Z level kind[pid] message key=value ...". A
 * line is written with one non-blocking write of at most 4 KiB to a descriptor (stderr before the
 * logger runs, then the logger's pipe); what does not fit is dropped and counted. Content from
 * outside is escaped, so a line is always one line.
 */
#ifndef GW_LOG_H
#define GW_LOG_H

#include "shm/base/base.h"
#include "shm/base/str.h"

enum log_level { LOG_ERROR_L, LOG_WARN_L, LOG_INFO_L, LOG_DEBUG_L };
extern const char *const log_level_names[]; /* "error" "warn" "info" "debug", NULL-terminated */

void log_init(const char *kind, int fd, enum log_level level); /* `kind` is borrowed for life */
void log_set_level(uint32_t level); /* may come from a message: past the last it is debug */
enum log_level log_get_level(void);
void log_set_fd(int fd);
uint64_t log_dropped(void);

void log_line(enum log_level level, const char *fmt, ...) PRINTF(2, 3);
#define log_error(...) log_line(LOG_ERROR_L, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN_L, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO_L, __VA_ARGS__)
#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (unlikely(log_get_level() >= LOG_DEBUG_L))                                      \
			log_line(LOG_DEBUG_L, __VA_ARGS__);                                        \
	} while (0)

#endif
