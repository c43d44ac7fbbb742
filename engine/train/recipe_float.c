/* Plain training: forward sees the parameters themselves. */
#include "train_priv.h"

const struct bd_recipe bd_recipe_float = {
    .name = "float",
    .title = "plain training in 32-bit floating point",
};
