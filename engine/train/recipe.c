/* The recipes: one file and one row each. */
#include "train_priv.h"

#include <string.h>

static const struct bd_recipe *const recipes[] = {
    &bd_recipe_float,
};

const struct bd_recipe *bd_train_recipe(const char *name)
{
    for (size_t i = 0; i < sizeof recipes / sizeof *recipes; i++)
        if (strcmp(recipes[i]->name, name) == 0)
            return recipes[i];
    return NULL;
}

const char *const *bd_train_recipe_names(void)
{
    static const char *const names[] = {"float", NULL};
    return names;
}
