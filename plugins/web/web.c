/* What the shared parts of the pages ask for: which pages there are. Everything else of them is files. */
#include <cvm/cvm.h>
#include <cvm/json.h>

#define PAGES "web.pages"

static int list_pages(cvm_turn *t, const cvm_msg *m)
{
    const json_t *pages = cvm_registry(t, "pages");
    return cvm_reply(t, m, json_pack("{s:o}", "pages", pages ? json_deep_copy(pages) : json_array()));
}

static const cvm_component components[] = {{.id = PAGES, .state_version = 1}, {0}};

static const cvm_route routes[] = {{PAGES, "list_pages", list_pages}, {0}};

CVM_PLUGIN(.name = "web", .version = "1.0.0", .components = components, .routes = routes);
