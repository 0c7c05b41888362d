/* Chance that can be repeated: who is in which group of a campaign or experiment. The same name and customer always get
 * the same place, two names have nothing to do with each other, and nothing need be stored. Pure; any thread. */
#ifndef CVM_COMMON_ASSIGN_H
#define CVM_COMMON_ASSIGN_H

#include <stddef.h>
#include <stdint.h>

/* A place from 0 to below 1, spread evenly over the customers. */
double assign_place(const char *name, const char *customer_id);

/* The index of the variant at that place; the weights are not negative and one is more than 0. */
size_t assign_variant(double place, const double *weights, size_t n);

#endif
