/* SPDX-License-Identifier: Apache-2.0
 *
 * gateway -V: the version of the gateway and of the libraries it runs with.
 */
#ifndef GW_VERSION_H
#define GW_VERSION_H

#include "shm/base/base.h"

void version_print(FILE *to);

#endif
