/* See assign.h. Any thread. */
#include "assign.h"

static uint64_t mixed(uint64_t x)
{
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static uint64_t hashed(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return mixed(h);
}

double assign_place(const char *name, const char *customer_id)
{
    uint64_t h = mixed(hashed(customer_id) + mixed(hashed(name) ^ UINT64_C(0x9e3779b97f4a7c15)));
    return (double)(h >> 11) * 0x1p-53;
}

size_t assign_variant(double place, const double *weights, size_t n)
{
    double total = 0, sum = 0;
    size_t last = 0;
    for (size_t i = 0; i < n; i++)
        total += weights[i];
    for (size_t i = 0; i < n; i++) {
        sum += weights[i];
        if (weights[i] > 0)
            last = i;
        if (place * total < sum)
            return i;
    }
    return last;
}
