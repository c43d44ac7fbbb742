/* Stochastic gradient descent with momentum and weight decay:
 *   speed = momentum * speed + gradient + decay * w
 *   w     = w - lr * speed */
#include "train_priv.h"

static void update(struct bd_param *p, const struct bd_train_opts *o, double lr)
{
    const float rate = (float)lr, keep = (float)o->momentum;
    const float decay = p->decay ? (float)o->decay : 0.0f;
    for (size_t i = 0; i < p->n; i++) {
        p->speed[i] = keep * p->speed[i] + (p->grad[i] + decay * p->w[i]);
        p->w[i] -= rate * p->speed[i];
    }
}

void bd_train_update(struct bd_trainer *t, double lr)
{
    for (size_t i = 0; i < t->nparams; i++)
        update(&t->param[i], &t->o, lr);
}
