/* Asks the text model "kind" what a text is about. Built twice: `sorter` declares the model and knows stones, `fruit`
 * (SORTER_FRUIT) only may ask it, and knows fruit. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#ifdef SORTER_FRUIT
#define NAME "fruit"
#else
#define NAME "sorter"
#endif

/* {"text", "model"} -> {"labels"} or {"error"} */
static int sort(cvm_turn *t, const cvm_msg *m)
{
    json_t *labels = NULL;
    int e = cvm_classify(t, cvm_json_str(m->data, "model", "kind"), cvm_json_str(m->data, "text", ""), &labels);
    json_t *answer = e < 0 ? json_pack("{s:i}", "error", e) : json_pack("{s:o}", "labels", labels);
    CVM_TRY(cvm_note(t, "sorted", cvm_json_share(answer)));
    return cvm_reply(t, m, answer);
}

static const cvm_component components[] = {{.id = "test." NAME, .state_version = 1}, {0}};
static const cvm_route routes[] = {{"test." NAME, "sort", sort}, {0}};

CVM_PLUGIN(.name = NAME, .version = "1.0.0", .components = components, .routes = routes);
