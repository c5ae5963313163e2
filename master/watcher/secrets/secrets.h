/* SPDX-License-Identifier: Apache-2.0
 *
 * The secrets process: reads what objects name by path or reference, checks it, seals the bundle,
 * and watches the files. It keeps CAP_DAC_READ_SEARCH, speaks to the master alone, and opens no
 * map.
 *
 *	SEAL {txn, objects}	-> SEALED {txn}; what is asked next waits for SEAL_END
 *	SEAL_END {txn, ok}	the objects of that transaction are in force now, or forgotten
 *	a file changed		-> SEALED {0}, unless nothing differs
 *
 * A successor gets the bundle in force (heritage.secrets_fd) and SEAL {0} with the objects.
 */
#ifndef GW_SECRETS_H
#define GW_SECRETS_H

#include "shm/heritage.h"

proc_main_f secrets_main;

#endif
