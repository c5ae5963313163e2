/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper's memory on disk: journal, objects, history, overrides, as JSON records in the state.
 *The life of a document:
 *
 *	taken    -> journal (one commit for all that were queued: from here on it is not lost)
 *	applied  -> the map's transaction, the bell
 *	folded   -> objects, history, overrides, console's position; out of the journal (one commit
 *for all) answered
 *
 * At the start of a keeper what is still in the journal is applied again; what an object's record
 *says and the map does not have is put there.
 *
 *	objects {"schema":1,"source":"admin","author":..,"time":..,"version":12,"value":{..}}
 *	history
 *{"schema":1,"generation":12,"time":..,"source":..,"author":..,"comment":..,"changed":3,
 *			 "changes":[{"kind","id","source","before":{..}|null,"after":{..}|null}]};
 *changes is absent where there were more than HISTORY_CHANGES: such a one cannot be taken back
 *	overrides	{"schema":1,"name":"rollback-12","source":"file","digest":"32 hex digits of
 *what the source says, or empty: it has no such object","since":..,"author":..,"value":{..}|null}
 */
#ifndef GW_REMEMBER_H
#define GW_REMEMBER_H

#define HISTORY_CHANGES 2000       /* of one change set */
#define HISTORY_OCTETS  (4u << 20) /* of one record */

#endif
