/* Invented meters and tokens; see meter.h. Pure. */
#include "meter.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const classes[] = {"R2", "R3", "C1", "C2"};

/* Naira per kWh by class and band; sample figures. */
static const double rates[4][5] = {{209.50, 63.00, 50.00, 43.00, 40.00},
                                   {209.50, 64.00, 51.00, 44.00, 41.00},
                                   {220.00, 68.00, 56.00, 48.00, 45.00},
                                   {225.00, 70.00, 58.00, 50.00, 47.00}};

static const char *const customers[] = {"N. Eze",   "T. Adeyemi", "M. Ibrahim", "C. Okafor", "F. Alabi",
                                        "A. Bello", "E. Obi",     "Z. Lawal",   "U. Nnadi",  "B. Ojo"};
static const char *const streets[] = {"Broad Street",   "Allen Avenue", "Ahmadu Bello Way", "Ogui Road",
                                      "Challenge Road", "Aba Road",     "Zoo Road"};

void meter_read(const char *digits, struct meter *m)
{
    int sum = 0, class = (digits[1] - '0') % 4, band = (digits[2] - '0') % 5;
    for (const char *d = digits; *d; d++)
        sum += *d - '0';
    int tail = (int)((digits[strlen(digits) - 3] - '0') * 100 + (digits[strlen(digits) - 2] - '0') * 10 +
                     digits[strlen(digits) - 1] - '0');
    *m = (struct meter){.postpaid = digits[0] == '6',
                        .band = (char)('A' + band),
                        .tariff_class = classes[class],
                        .rate_kobo = (int64_t)(rates[class][band] * 100 + 0.5),
                        .customer = customers[sum % 10],
                        .street = streets[sum % 7],
                        .house = 1 + tail % 90};
    if (m->postpaid) {
        m->kwh10 = (tail + 50) * 2;
        m->bill_kobo = (m->kwh10 * m->rate_kobo * 1075 / 10000 + 99) / 100 * 100; /* whole naira */
    }
}

int64_t meter_units10(const struct meter *m, int64_t amount_kobo)
{
    int64_t per_unit = m->rate_kobo * 1075; /* thousandths of a kobo */
    return (amount_kobo * 1000 * 10 + per_unit / 2) / per_unit;
}

void token_make(int64_t n, char ret_token[TOKEN_SIZE])
{
    /* Multiplication by an odd number that is no multiple of 5 is a permutation of the numbers below 10^16. */
    const uint64_t span = UINT64_C(10000000000000000);
    uint64_t x = (uint64_t)((unsigned __int128)(uint64_t)n * UINT64_C(7368787563546251) % span);
    snprintf(ret_token, TOKEN_SIZE, TOKEN_PREFIX "%016" PRIu64, x);
}
