/* liblinear, loaded when the first model is trained: it brings the C++ and BLAS libraries, which a host that only
 * answers does not need. */
#ifndef HOST_MODELS_LINEAR_LIB_H
#define HOST_MODELS_LINEAR_LIB_H

#define model linear_model /* the name is ours */
#include <linear.h>
#undef model

#define LINEAR_LIB_FUNCTIONS(X) X(train) X(check_parameter) X(free_and_destroy_model) X(set_print_string_function)

struct linear_lib {
#define LINEAR_LIB_X(name) __typeof__(name) *name;
    LINEAR_LIB_FUNCTIONS(LINEAR_LIB_X)
#undef LINEAR_LIB_X
};

/* NULL: the library is not there. Only under the trainer's lock. */
const struct linear_lib *linear_lib(void);

#endif
