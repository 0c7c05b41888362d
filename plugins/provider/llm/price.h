/* What calls of a model cost, in micro-dollars: 1,000,000 of them are a US dollar. Integers all the way. Pure. */
#ifndef PROVIDER_LLM_PRICE_H
#define PROVIDER_LLM_PRICE_H

#include <cvm/json.h>

#define MICRO INT64_C(1000000)

/* Dollars (a number of JSON) as micro-dollars; negative and absurd ones are 0. */
int64_t price_micro(const json_t *dollars);

/* Prices of a model, micro-dollars a million tokens. */
struct price {
    int64_t input, cached, output;
};

/* Finds the model in {"gpt-4o-mini": {"input": 0.15, "cached": 0.075, "output": 0.6}, "*": ..}: by its name, else as
 * the longest name that it begins with and goes on with "-", else "*". false: it has no price. */
bool price_find(const json_t *prices, const char *model, struct price *ret_price);
/* Rounded up; cached tokens are among the input tokens. */
int64_t price_cost(const struct price *price, int64_t input_tokens, int64_t cached_tokens, int64_t output_tokens);

#endif
