/* synth:glyphs, a data set without files: ten classes of shapes drawn with
 * signed distances, 3x32x32 bytes.  Each picture is a gradient, some clutter,
 * the shape (random place, size, turn, shear, colour), a few strokes across
 * it, blur by coverage, and noise.  Picture i is drawn from the random stream
 * (seed, i) and nothing else, so any picture can be made at any time by any
 * thread; the class is i mod 10, so every stretch of the set is balanced.
 *
 * `hard` holds every number that decides how difficult the set is.  Changing
 * one changes the sample models' accuracy: train them again afterwards. */
#include "data/data_priv.h"

#include <math.h>
#include <string.h>

enum {
    SIDE = 32,
    PLANE = SIDE * SIDE,
    MAX_VERTS = 16,
    CLASSES = 10,
    TEST_IMAGES = 2000,
    TRAIN_IMAGES = 20000
};
#define TEST_SEED 0x676c797068730001ULL
#define TRAIN_SEED 0x676c797068730002ULL

struct hardness {
    float size_lo, size_hi;         /* half the shape's width, pixels */
    float shift;                    /* of the centre, pixels */
    float turn, shear;              /* radians; share */
    float contrast_lo, contrast_hi; /* colour distance of shape and ground */
    float gradient;                 /* colour change across the ground */
    float noise_lo, noise_hi;       /* standard deviation, 0..1 */
    int clutter_lo, clutter_hi;     /* small shapes behind */
    float clutter_size;             /* of the shape's own size, at most */
    int stroke_lo, stroke_hi;       /* lines in front */
    float stroke_width;             /* half width at most, pixels */
};

static const struct hardness hard = {
    .size_lo = 7.0F,
    .size_hi = 12.0F,
    .shift = 4.0F,
    .turn = 0.45F,
    .shear = 0.2F,
    .contrast_lo = 0.30F,
    .contrast_hi = 0.9F,
    .gradient = 0.25F,
    .noise_lo = 0.02F,
    .noise_hi = 0.08F,
    .clutter_lo = 0,
    .clutter_hi = 3,
    .clutter_size = 0.45F,
    .stroke_lo = 0,
    .stroke_hi = 1,
    .stroke_width = 1.0F,
};

/* A closed outline in [-1,1] x [-1,1], y downwards. */
struct shape {
    const char *name;
    int n;
    float hollow; /* > 0: only a band of this half width around the outline */
    float v[MAX_VERTS][2];
};

/* clang-format off */
static const struct shape shapes[CLASSES] = {
    {"ring", 12, .22F, {{.8F, 0}, {.69F, .4F}, {.4F, .69F}, {0, .8F},
        {-.4F, .69F}, {-.69F, .4F}, {-.8F, 0}, {-.69F, -.4F},
        {-.4F, -.69F}, {0, -.8F}, {.4F, -.69F}, {.69F, -.4F}}},
    {"square", 4, 0, {{-.8F, -.8F}, {.8F, -.8F}, {.8F, .8F}, {-.8F, .8F}}},
    {"triangle", 3, 0, {{0, -.95F}, {.95F, .75F}, {-.95F, .75F}}},
    {"star", 10, 0, {{0, -1}, {.24F, -.33F}, {.95F, -.31F}, {.38F, .12F},
        {.59F, .81F}, {0, .4F}, {-.59F, .81F}, {-.38F, .12F},
        {-.95F, -.31F}, {-.24F, -.33F}}},
    {"plus", 12, 0, {{-.3F, -1}, {.3F, -1}, {.3F, -.3F}, {1, -.3F},
        {1, .3F}, {.3F, .3F}, {.3F, 1}, {-.3F, 1}, {-.3F, .3F},
        {-1, .3F}, {-1, -.3F}, {-.3F, -.3F}}},
    {"crescent", 12, 0, {{.35F, -.95F}, {-.25F, -.9F}, {-.72F, -.55F},
        {-.9F, 0}, {-.72F, .55F}, {-.25F, .9F}, {.35F, .95F},
        {-.02F, .6F}, {-.2F, .3F}, {-.25F, 0}, {-.2F, -.3F},
        {-.02F, -.6F}}},
    {"arrow", 7, 0, {{0, -1}, {.8F, -.1F}, {.3F, -.1F}, {.3F, 1},
        {-.3F, 1}, {-.3F, -.1F}, {-.8F, -.1F}}},
    {"tee", 8, 0, {{-.9F, -.95F}, {.9F, -.95F}, {.9F, -.4F}, {.3F, -.4F},
        {.3F, 1}, {-.3F, 1}, {-.3F, -.4F}, {-.9F, -.4F}}},
    {"zed", 10, 0, {{-.85F, -.9F}, {.85F, -.9F}, {.85F, -.45F},
        {-.2F, .45F}, {.85F, .45F}, {.85F, .9F}, {-.85F, .9F},
        {-.85F, .45F}, {.2F, -.45F}, {-.85F, -.45F}}},
    {"hourglass", 6, 0, {{-.8F, -.95F}, {.8F, -.95F}, {.15F, 0},
        {.8F, .95F}, {-.8F, .95F}, {-.15F, 0}}},
};
/* clang-format on */

/* --------------------------------------------------------------- drawing */

struct ink {
    float rgb[3];
};

/* Where a shape goes: pixel (x,y) is (m[0]x+m[1]y+m[2], m[3]x+m[4]y+m[5]) in
 * the shape's own coordinates; `size` turns its distances into pixels. */
struct place {
    float m[6];
    float size, cx, cy;
};

static float between(struct bd_rng *r, float lo, float hi)
{
    return lo + (float)bd_rng_unit(r) * (hi - lo);
}

static int between_int(struct bd_rng *r, int lo, int hi)
{
    return lo + (int)bd_rng_below(r, (uint64_t)(hi - lo + 1));
}

/* Near enough to normal for pixel noise (four uniforms), and far cheaper than
 * the logarithm and cosine of the exact way. */
static float noise(struct bd_rng *r)
{
    uint64_t u = bd_rng_u64(r);
    int sum = (int)(u & 0xffff) + (int)(u >> 16 & 0xffff) +
              (int)(u >> 32 & 0xffff) + (int)(u >> 48);

    return ((float)sum / 65536.0F - 2.0F) * 1.7320508F;
}

/* The inverse of "scale, shear, turn, move": drawing asks each pixel where it
 * lies in the shape, never the other way round. */
static struct place place_at(float cx, float cy, float size, float turn,
                             float shear)
{
    float c = (float)cos((double)turn) / size;
    float s = (float)sin((double)turn) / size;
    struct place p = {.size = size, .cx = cx, .cy = cy};

    p.m[0] = c + shear * s;
    p.m[1] = s - shear * c;
    p.m[3] = -s;
    p.m[4] = c;
    p.m[2] = -(p.m[0] * cx + p.m[1] * cy);
    p.m[5] = -(p.m[3] * cx + p.m[4] * cy);
    return p;
}

/* Signed distance to the outline, negative inside (even-odd rule). */
static float shape_distance(const struct shape *s, float x, float y)
{
    float best = 1e9F;
    bool inside = false;

    for (int i = 0, j = s->n - 1; i < s->n; j = i++) {
        float ax = s->v[j][0], ay = s->v[j][1];
        float ex = s->v[i][0] - ax, ey = s->v[i][1] - ay;
        float px = x - ax, py = y - ay;
        float t = (px * ex + py * ey) / (ex * ex + ey * ey);
        float dx, dy;

        t = t < 0.0F ? 0.0F : t > 1.0F ? 1.0F : t;
        dx = px - t * ex;
        dy = py - t * ey;
        dx = dx * dx + dy * dy;
        best = dx < best ? dx : best;
        if ((ay > y) != (s->v[i][1] > y) && px < ex * py / ey)
            inside = !inside;
    }
    best = sqrtf(best);
    if (s->hollow > 0.0F)
        return best - s->hollow;
    return inside ? -best : best;
}

/* Mixes ink into one pixel by the share that it covers. */
static void blend(float *pic, int at, float cover, const struct ink *k)
{
    for (int c = 0; c < 3; c++) {
        float *v = pic + c * PLANE + at;

        *v += cover * (k->rgb[c] - *v);
    }
}

/* A pixel row or column inside the picture. */
static int clamp_side(float v)
{
    return v < 0.0F ? 0 : v > SIDE ? SIDE : (int)v;
}

/* Only the pixels the shape can reach are asked; that is what makes thousands
 * of pictures a second possible. */
static void draw_shape(float *pic, const struct shape *s, const struct place *p,
                       const struct ink *k)
{
    float reach = 1.6F * p->size + 2.0F; /* corner of the box, sheared */
    int x0 = clamp_side(p->cx - reach), x1 = clamp_side(p->cx + reach + 1);
    int y0 = clamp_side(p->cy - reach), y1 = clamp_side(p->cy + reach + 1);

    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            float fx = (float)x + 0.5F, fy = (float)y + 0.5F;
            float u = p->m[0] * fx + p->m[1] * fy + p->m[2];
            float v = p->m[3] * fx + p->m[4] * fy + p->m[5];
            float cover = 0.5F - shape_distance(s, u, v) * p->size;

            if (cover > 0.0F)
                blend(pic, y * SIDE + x, cover < 1.0F ? cover : 1.0F, k);
        }
    }
}

/* A line with round ends, the same distance rule. */
static void draw_stroke(float *pic, const float a[2], const float b[2],
                        float width, const struct ink *k)
{
    float ex = b[0] - a[0], ey = b[1] - a[1], len = ex * ex + ey * ey + 1e-6F;

    for (int i = 0; i < PLANE; i++) {
        float px = (float)(i % SIDE) + 0.5F - a[0];
        float py = (float)(i / SIDE) + 0.5F - a[1];
        float t = (px * ex + py * ey) / len, cover;

        t = t < 0.0F ? 0.0F : t > 1.0F ? 1.0F : t;
        px -= t * ex;
        py -= t * ey;
        cover = width + 0.5F - sqrtf(px * px + py * py);
        if (cover > 0.0F)
            blend(pic, i, cover < 1.0F ? cover : 1.0F, k);
    }
}

/* ------------------------------------------------------------- one image */

static struct ink random_ink(struct bd_rng *r)
{
    struct ink k;

    for (int c = 0; c < 3; c++)
        k.rgb[c] = between(r, 0.05F, 0.95F);
    return k;
}

static float ink_distance(const struct ink *a, const struct ink *b)
{
    float sum = 0.0F;

    for (int c = 0; c < 3; c++)
        sum += (a->rgb[c] - b->rgb[c]) * (a->rgb[c] - b->rgb[c]);
    return sqrtf(sum);
}

/* A colour at a wanted distance from the ground: of a few tries the nearest
 * to that distance that still can be told apart. */
static struct ink contrasting(struct bd_rng *r, const struct ink *ground)
{
    float want = between(r, hard.contrast_lo, hard.contrast_hi);
    struct ink best = random_ink(r);
    float gap = fabsf(ink_distance(&best, ground) - want);

    for (int k = 0; k < 12; k++) {
        struct ink t = random_ink(r);
        float d = ink_distance(&t, ground), g = fabsf(d - want);

        if (d >= hard.contrast_lo && g < gap) {
            best = t;
            gap = g;
        }
    }
    return best;
}

/* A slope of colour in a random direction, each channel its own. */
static void draw_ground(float *pic, struct bd_rng *r, const struct ink *g)
{
    float turn = between(r, 0.0F, 6.2831853F);
    float ux = (float)cos((double)turn), uy = (float)sin((double)turn);

    for (int c = 0; c < 3; c++) {
        float slope = between(r, -hard.gradient, hard.gradient) / SIDE;

        for (int i = 0; i < PLANE; i++) {
            float x = (float)(i % SIDE) - SIDE / 2.0F;
            float y = (float)(i / SIDE) - SIDE / 2.0F;

            pic[c * PLANE + i] = g->rgb[c] + slope * (ux * x + uy * y);
        }
    }
}

/* Small whole shapes of any class, mostly towards the borders. */
static void draw_clutter(float *pic, struct bd_rng *r, float size)
{
    int n = between_int(r, hard.clutter_lo, hard.clutter_hi);

    for (int k = 0; k < n; k++) {
        float turn = between(r, 0.0F, 6.2831853F);
        float far = between(r, 9.0F, 19.0F);
        float cx = SIDE / 2.0F + far * (float)cos((double)turn);
        float cy = SIDE / 2.0F + far * (float)sin((double)turn);
        float own = size * between(r, 0.25F, hard.clutter_size);
        struct place p = place_at(cx, cy, own, between(r, 0.0F, 6.28F), 0.0F);
        struct ink ink = random_ink(r);

        draw_shape(pic, &shapes[bd_rng_below(r, CLASSES)], &p, &ink);
    }
}

static void draw_strokes(float *pic, struct bd_rng *r)
{
    int n = between_int(r, hard.stroke_lo, hard.stroke_hi);

    for (int k = 0; k < n; k++) {
        struct ink ink = random_ink(r);
        float a[2] = {between(r, 0.0F, SIDE), between(r, 0.0F, SIDE)};
        float b[2] = {between(r, 0.0F, SIDE), between(r, 0.0F, SIDE)};

        draw_stroke(pic, a, b, between(r, 0.2F, hard.stroke_width), &ink);
    }
}

/* The order of the draws is the order of the random stream: changing it makes
 * another data set. */
static void draw_glyph(float *pic, struct bd_rng *r, int label)
{
    struct ink ground = random_ink(r), ink = contrasting(r, &ground);
    float size = between(r, hard.size_lo, hard.size_hi);
    float cx = SIDE / 2.0F + between(r, -hard.shift, hard.shift);
    float cy = SIDE / 2.0F + between(r, -hard.shift, hard.shift);
    float turn = between(r, -hard.turn, hard.turn);
    struct place p =
        place_at(cx, cy, size, turn, between(r, -hard.shear, hard.shear));

    draw_ground(pic, r, &ground);
    draw_clutter(pic, r, size);
    draw_shape(pic, &shapes[label], &p, &ink);
    draw_strokes(pic, r);
}

/* Noise, then the whole numbers a camera would give. */
static void settle(float *pic, struct bd_rng *r)
{
    float sd = between(r, hard.noise_lo, hard.noise_hi);

    for (int i = 0; i < 3 * PLANE; i++) {
        float v = rintf(255.0F * (pic[i] + sd * noise(r)));

        pic[i] = v < 0.0F ? 0.0F : v > 255.0F ? 255.0F : v;
    }
}

/* ---------------------------------------------------------- the data set */

static bool probe(const struct data_input *in)
{
    return strcmp(in->spec, "synth:glyphs") == 0 ||
           strcmp(in->spec, "synth:glyphs/train") == 0;
}

static const uint64_t test_seed = TEST_SEED, train_seed = TRAIN_SEED;

static bd_status open_glyphs(struct bd_data *d, struct data_input *in,
                             struct bd_err *err)
{
    bool train = strcmp(in->spec, "synth:glyphs/train") == 0;

    d->name = d->path; /* the spec itself, not what follows its slash */
    d->n = train ? TRAIN_IMAGES : TEST_IMAGES;
    d->classes = CLASSES;
    d->dim[0] = 3;
    d->dim[1] = d->dim[2] = SIDE;
    d->priv = bd_alloc(1, sizeof test_seed);
    if (!d->priv)
        return bd_fail(err, BD_ENOMEM, "out of memory");
    memcpy(d->priv, train ? &train_seed : &test_seed, sizeof test_seed);
    if (bd_data_alloc_labels(d, err) != BD_OK)
        return BD_ENOMEM;
    for (int64_t i = 0; i < d->n; i++)
        d->label[i] = (int)(i % CLASSES);
    return BD_OK;
}

static bd_status get_glyph(struct data_picture *p, const struct bd_data *d,
                           int64_t i, struct bd_err *err)
{
    const uint64_t *seed = d->priv;
    struct bd_rng r = bd_rng_fork(*seed, (uint64_t)i);
    bd_status st = bd_picture_init(p, 3, SIDE, SIDE, err);

    if (st != BD_OK)
        return st;
    draw_glyph(p->x, &r, d->label[i]);
    settle(p->x, &r);
    return BD_OK;
}

static void close_glyphs(struct bd_data *d)
{
    bd_free(d->priv);
}

const struct data_kind bd_data_glyphs = {
    "glyphs", probe, open_glyphs, get_glyph, close_glyphs,
};
