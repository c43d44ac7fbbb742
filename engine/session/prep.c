/* Which preprocessing: what was asked for, else what the sidecar says, else
 * a guess by the pictures' shape, which is said in the log, since a wrong
 * guess costs accuracy without any other sign. */
#include "session/session_priv.h"

#include <math.h>
#include <string.h>

static const char *guess(const struct bd_session *s)
{
    int64_t d[3];
    bd_data_shape(s->data, d);
    if (d[0] == 1 && d[1] == 28 && d[2] == 28)
        return "mnist01";
    if (d[0] == 3 && d[1] == 32 && d[2] == 32)
        /* The CIFAR networks that come as .npz follow the APoT seed. */
        return strcmp(s->m->format, "npz") == 0 &&
                       strncmp(s->m->arch, "resnet", 6) == 0
                   ? "cifar10-apot"
                   : "cifar10";
    if (d[0] == 1 && d[1] > 0)
        return "mnist01"; /* grey pictures of any one size */
    return "imagenet";
}

/* A preset made for 224 pixels serves a network of 299: the crop follows the
 * network, the resize keeps its ratio to it.  Lists are taken literally. */
static void follow_size(struct bd_session *s, const char *text,
                        const int64_t dim[4])
{
    struct bd_prep *p = &s->prep;
    int side = (int)dim[2];
    if (strchr(text, '=') || p->crop <= 0 || side <= 0 || dim[2] != dim[3] ||
        p->crop == side)
        return;
    int resize = (int)rint((double)p->resize * side / p->crop);
    bd_session_say(s, "the network takes %dx%d: resize %d and crop %d in "
                      "place of %d and %d", side, side, resize, side,
                   p->resize, p->crop);
    p->resize = resize;
    p->crop = side;
}

bd_status bd_session_choose_prep(struct bd_session *s, const char *asked,
                                 const char *sidecar, const int64_t dim[4],
                                 struct bd_err *err)
{
    const char *text = asked ? asked : sidecar;
    if (!text) {
        text = guess(s);
        bd_session_say(s, "preprocessing '%s' by the shape of the pictures; "
                          "--preprocess names another", text);
    }
    bd_status st = bd_prep_parse(&s->prep, text, err);
    if (st == BD_OK)
        follow_size(s, text, dim);
    return st;
}
