/* What the program asks of its allocator beyond memory. Any thread. */
#ifndef CORE_HEAP_H
#define CORE_HEAP_H

#include <stddef.h>

void heap_give_back(void); /* what is free goes back to the system */
size_t heap_used(void);    /* bytes */

#endif
