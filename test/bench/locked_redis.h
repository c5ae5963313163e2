/* SPDX-License-Identifier: Apache-2.0
 *
 * What locked.c keeps in Redis: its routes, read all at once, and the commands of its locks and
 * counts, over one connection, written together and read together. Whatever fails ends the program.
 */
#ifndef GW_LOCKED_REDIS_H
#define GW_LOCKED_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct route {
	char *path;
	unsigned short port; /* of its endpoint */
};

/* A connection to that port of 127.0.0.1. */
int connect_to(unsigned short port);

/* Connects, asks to be told of changes and reads the routes. */
void redis_open(unsigned short port);
int redis_fd(void);      /* readable: redis_read */
int redis_bell_fd(void); /* readable: redis_bell */

/* The words of a command, the last one NULL; it goes out with the next redis_write. Answers come in
 * the order of the commands: `answered` gets `who` and the answer's first octet; NULL: nobody waits
 * for this one. */
void redis_ask(void *who, void (*answered)(void *who, char first), const char *const *words);
void redis_write(void);
void redis_read(void);

/* Something was published: all routes are old. */
void redis_bell(void);
/* Where they are: reads all of them and builds a new table, unless it was at that for half of the
 * time until now. */
void routes_renew(void);
/* Until it would be done, in ns; -1: they are not old. */
long long routes_wait(void);
/* NULL: no route has that path. */
const struct route *routes_find(const char *path, size_t n);

struct reloads {
	uint64_t n;
	long long ns; /* of all together */
};
struct reloads routes_reloads(void);

long long now(void); /* ns */

#endif
