/* See price.h. */
#include "price.h"

#include <math.h>

#define DOLLARS_MAX 1e6
#define TOKENS_MAX INT64_C(100000000)

int64_t price_micro(const json_t *dollars)
{
    double value = json_is_number(dollars) ? json_number_value(dollars) : 0;
    return value > 0 && value <= DOLLARS_MAX ? llround(value * (double)MICRO) : 0;
}

static const json_t *find(const json_t *prices, const char *model)
{
    const json_t *exact = json_object_get(prices, model), *best = NULL;
    const char *name;
    json_t *value;
    size_t longest = 0;
    if (exact)
        return exact;
    json_object_foreach((json_t *)(uintptr_t)prices, name, value)
    {
        size_t n = strlen(name);
        if (n > longest && strncmp(model, name, n) == 0 && model[n] == '-') { /* gpt-4o-mini-2024-07-18 */
            longest = n;
            best = value;
        }
    }
    return best ? best : json_object_get(prices, "*");
}

bool price_find(const json_t *prices, const char *model, struct price *ret_price)
{
    const json_t *found = find(prices, model), *cached = json_object_get(found, "cached");
    if (!json_is_object(found))
        return false;
    ret_price->input = price_micro(json_object_get(found, "input"));
    ret_price->output = price_micro(json_object_get(found, "output"));
    ret_price->cached = cached ? price_micro(cached) : ret_price->input;
    return true;
}

static int64_t within(int64_t tokens)
{
    return tokens < 0 ? 0 : tokens > TOKENS_MAX ? TOKENS_MAX : tokens;
}

/* The micro-dollars of so many tokens, without what is left of the division: 10^8 tokens at 10^12 would not fit as one
 * product. */
static int64_t part(int64_t tokens, int64_t price)
{
    return tokens * (price / MICRO) + tokens * (price % MICRO) / MICRO;
}

static int64_t remainder_of(int64_t tokens, int64_t price)
{
    return (tokens * (price % MICRO)) % MICRO;
}

int64_t price_cost(const struct price *price, int64_t input_tokens, int64_t cached_tokens, int64_t output_tokens)
{
    int64_t cached = within(cached_tokens), input = within(input_tokens) - cached, output = within(output_tokens);
    if (input < 0)
        input = 0;
    int64_t sum = part(input, price->input) + part(cached, price->cached) + part(output, price->output);
    int64_t rest =
        remainder_of(input, price->input) + remainder_of(cached, price->cached) + remainder_of(output, price->output);
    return sum + (rest + MICRO - 1) / MICRO;
}
