/* What disco_sim makes up about a meter from its digits alone, so that every run says the same. Pure. */
#ifndef DISCO_SIM_METER_H
#define DISCO_SIM_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
    bool postpaid;
    char band;                     /* 'A' to 'E' */
    const char *tariff_class;      /* "R2", "R3", "C1", "C2" */
    int64_t rate_kobo;             /* per kWh, without VAT */
    const char *customer, *street; /* invented */
    int house;
    int64_t bill_kobo; /* of the month, with VAT; POSTPAID only */
    int64_t kwh10;     /* tenths of a kWh billed */
};

void meter_read(const char *digits, struct meter *ret_meter);

/* Tenths of a kWh for a sum: amount / (rate x 1.075), the last tenth rounded. */
int64_t meter_units10(const struct meter *m, int64_t amount_kobo);

#define TOKEN_SIZE 21
#define TOKEN_PREFIX "9999" /* no vending system issues such tokens: these are for nobody's meter */

/* The token of the vend with this number: unique, and the same whenever it is asked for. */
void token_make(int64_t n, char ret_token[TOKEN_SIZE]);

#endif
