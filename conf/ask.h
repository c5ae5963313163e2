/* SPDX-License-Identifier: Apache-2.0
 *
 * What can be asked over a line (MSG_ASK): of the keeper, who alone opens the state, and of the
 * redis process. The answer is JSON, ready for the admin API.
 */
#ifndef GW_ASK_H
#define GW_ASK_H

enum ask {
	ASK_GENERATIONS, /* keeper. History, newest first: a = at most so many, b = before this
			    generation (0: from the end). {"generations": [record without its
			    changes, ...]} */
	ASK_GENERATION,  /* keeper. a: one record, with its changes; 404 */
	ASK_DIFF, /* keeper. What differs between the configurations as of generations a and b (0:
		     now):
		     {"from", "to", "changes": [{"kind", "id", "before", "after"}]}; 410 when
		     history does not reach back so far */
	ASK_OVERRIDES, /* keeper. {"overrides": [{"name", "kind", "id", "since", "author"}]} */
	ASK_STATE, /* keeper. {"schema", "objects", "history", "console": position, "journal", ...}
		    */
	ASK_ROLLOUT,    /* redis. Every instance's acknowledgement beside the console's version */
	ASK_RELOAD_ALL, /* redis. Rings every instance: {"reload": number} */
	ASK_COUNT
};

#endif
