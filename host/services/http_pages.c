/* Pages of the plugins, served from the memory of the generations in service: whatever is not there by this very path
 * is not a page, so no path leads to a file. Loop thread. */
#include "services/http_server_private.h"

#include <stdio.h>
#include <stdlib.h>

static int by_path(const void *path, const void *page)
{
    return strcmp(path, ((const struct registry_page *)page)->decl->path);
}

static const struct manifest_page *find_page(struct http_exchange *x)
{
    size_t n = 0;
    const struct registry_page *pages = registry_pages(x->server->options.core, &n);
    const struct registry_page *found = n ? bsearch(x->url, pages, n, sizeof *pages, by_path) : NULL;
    return found ? found->decl : NULL;
}

static char *copy_of(const struct manifest_page *page)
{
    char *text = malloc(page->len + 1);
    if (text)
        memcpy(text, page->bytes, page->len);
    return text;
}

bool http_answer_page(struct http_exchange *x)
{
    struct problem problem;
    const struct manifest_page *page = find_page(x);
    if (!page)
        return false;
    if (strcmp(x->method, "GET") != 0 && strcmp(x->method, "HEAD") != 0) {
        problem_set(&problem, 405, "METHOD_NOT_ALLOWED", NULL, "This path answers to GET, HEAD.");
        http_answer_problem(x, &problem);
        snprintf(x->answer.allow, sizeof x->answer.allow, "GET, HEAD");
        return true;
    }
    if (page->missing) {
        problem_set(&problem, 404, "NOT_FOUND", NULL, "There is no %s on this machine.", page->missing);
        http_answer_problem(x, &problem);
        return true;
    }
    const char *known = x->head.if_none_match;
    x->answer.page = true;
    if (page->redirect) {
        x->answer.location = page->redirect;
        http_answer_text(x, 302, page->type, strdup(""), 0);
        return true;
    }
    snprintf(x->answer.etag, sizeof x->answer.etag, "%s", page->etag);
    if (known && (strstr(known, page->etag) || strcmp(known, "*") == 0))
        http_answer_text(x, 304, page->type, strdup(""), 0);
    else
        http_answer_text(x, 200, page->type, copy_of(page), page->len);
    return true;
}
