/* SPDX-License-Identifier: Apache-2.0
 *
 * The keyring of a worker: the bundle in force and the one that waits for its generation, the
 * certificates that were decoded, and a TLS profile per listener. What is decoded is known by its
 * content's hash: a bundle that brings the same again leaves all of it warm, and connections hold
 * what they began with.
 */
#ifndef GW_KEYRING_H
#define GW_KEYRING_H

#include "conf/bundle.h"
#include "conf/listener.h"
#include "conf/settings.h"
#include "worker/net/tls.h"

struct listener; /* accept.h */
struct worker;

struct keyring;
struct keyring *keyring_new(struct worker *w);
void keyring_free(struct keyring **k);

/* A bundle came (the descriptor is taken over): txn 0 is in force from now on, another waits for
 * the next generation. 1; -1 with *error_r: what was there goes on. */
int keyring_offer(struct keyring *k, uint32_t txn, int fd, const char **error_r) NODISCARD;
void keyring_drop(struct keyring *k, uint32_t txn);
/* A generation is about to be adopted: what waited is in force. True: something did. */
bool keyring_adopt(struct keyring *k);
/* Settings of the instance as they are now (tickets, cache). */
void keyring_settings(struct keyring *k, const struct conf_settings *s);

struct bundle *keyring_bundle(struct keyring *k); /* NULL: none yet */
/* The profile for a listener's settings and protocols (enum tls_protocol), a reference. NULL with
 * *error_r: no bundle, or settings OpenSSL does not take: such a listener refuses its clients, or
 * goes on with the one it has. */
struct tls_ctx *keyring_profile(struct keyring *k, const struct conf_listener_tls *conf,
    unsigned protocols, const char **error_r);
/* All listeners have asked for theirs: profiles that nobody asked for are let go of. */
void keyring_settled(struct keyring *k);

/* Which certificates of the bundle a listener may show: made at its first handshake, and again when
 * the bundle changed. Kept in listener.scope; whoever changes the listener's settings frees it. */
struct keyring_scope;
void keyring_scope_free(struct keyring_scope **s);

/* tls_server_opts.pick; arg is the listener. Exact name, then wildcard, then `default`, then (not
 * with strict_sni) the certificate with the smallest id. Of several with one name and the same kind
 * of key it is the one with the smallest id; one that is not valid today only where none is. */
unsigned keyring_pick(void *listener, struct str sni, struct tls_cert *v_r[TLS_PICK_MAX]);

#endif
