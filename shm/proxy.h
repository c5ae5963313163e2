/* SPDX-License-Identifier: Apache-2.0
 *
 * Which versions of the PROXY protocol a listener takes (conf/listener.c) or a service is spoken to
 * in (conf/service.c, never any).
 */
#ifndef GW_SHM_PROXY_H
#define GW_SHM_PROXY_H

enum proxy_mode { PROXY_OFF, PROXY_V1, PROXY_V2, PROXY_ANY };

#endif
