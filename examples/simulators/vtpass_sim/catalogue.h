/* What vtpass_sim sells: services and bundles, in the vendor's shapes with invented entries. Pure. */
#ifndef VTPASS_SIM_CATALOGUE_H
#define VTPASS_SIM_CATALOGUE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum kind { AIRTIME, DATA, POWER };

#define SERVICES 20

struct service {
    const char *id, *name;
    enum kind kind;
};

extern const struct service services[SERVICES];
extern const char *const service_ids[SERVICES];

/* The price of a bundle; false: the service has none of that code. */
bool bundle_price(const char *service, const char *code, int64_t *ret_kobo);
json_t *bundles_json(const char *service); /* of service-variations; gives */

#endif
