/* A small pen font: every printable ASCII character as strokes on a grid of
 * halves, drawn by font.c's one function with a round pen, so that text is
 * smooth at any size.  A stroke is a row of points "xy"; a blank lifts the
 * pen.  y: 0 top of capitals, 2 top of small letters, 6 baseline, 8 lowest
 * descender.  Gentle turns are rounded when drawn, right angles stay. */
#include "plot/plot_priv.h"

#include <math.h>
#include <string.h>

/* clang-format off */
static const char *const glyphs[95] = {
    /*   */ "", "0004 0606", "0002 2022", "1115 3135 0242 0444",
    /* $ */ "413010010213334445361605 2026",
    /* % */ "4006 0010110100 3545463635",
    /* & */ "4612112031320405162644", "0002", "10010516", "00111506",
    /* * */ "2125 0244 0442", "2125 0343", "1607", "0333", "0606", "4006",
    /* 0 */ "102031352616050110", "012026 0646", "01103041420646",
    /* 3 */ "01103041423313 334445361605", "36300444", "400002324345361605",
    /* 6 */ "413010010516364544331304", "004016",
    /* 8 */ "103041423313020110 1304051636454433",
    /* 9 */ "051636454130100102133342",
    /* : */ "0202 0606", "1212 1607", "410345", "0242 0444", "014305",
    /* ? */ "01103041422324 2626", "3212143432 344441301001051646",
    /* A */ "062046 1434", "00063645443303 3342413000", "4130100105163645",
    /* D */ "00304145360600", "40000646 0333", "400006 0333",
    /* G */ "41301001051636454323", "0006 4046 0343", "0006", "3035261605",
    /* K */ "0006 4004 1346", "000646", "0600234046", "06004640",
    /* O */ "103041453616050110", "06003041423303",
    /* Q */ "103041453616050110 2446", "06003041423303 2346",
    /* S */ "413010010213334445361605", "0040 2026", "000516364540",
    /* V */ "002640", "0016223640", "0046 4006", "002340 2326", "00400646",
    /* [ */ "10000616", "0046", "00101606", "022042", "0747", "0011",
    /* a */ "3322120305162635 3236", "0006 0312223335261605",
    /* c */ "3322120305162635", "3036 3322120305162635",
    /* e */ "04343322120305162635", "201116 0222",
    /* g */ "3237281807 3322120305162635", "0006 0312223336", "0206 0000",
    /* j */ "121708 1010", "0006 3204 1336", "000516",
    /* m */ "0206 03122326 23324346", "0206 0312223336",
    /* o */ "122233352616050312", "0208 0312223335261605",
    /* q */ "3238 3322120305162635", "0206 031222", "3212031424352606",
    /* t */ "101526 0222", "0205162635 3236", "022642", "0216233642",
    /* x */ "0236 3206", "0226 4218", "02320636",
    /* { */ "20111203141526", "0007", "00111223141506", "04133443",
};
/* clang-format on */

enum { MAX_SEGMENTS = 160, ROUND_STEPS = 4 };
static const float GAP = 1.9F;   /* between characters, grid units */
static const float BLANK = 2.0F; /* width of a space */
static const float USUAL = 0.115F;

const char *bd_plot_glyph(char ch)
{
    unsigned char u = (unsigned char)ch;

    return glyphs[u >= 32 && u < 127 ? u - 32 : '?' - 32];
}

/* The rightmost point used: the font is proportional. */
static float glyph_width(const char *g)
{
    char widest = '0';

    if (!*g)
        return BLANK;
    for (; *g; g++) {
        if (*g == ' ')
            continue;
        widest = *g > widest ? *g : widest;
        g++; /* skip y */
    }
    return (float)(widest - '0');
}

/* A grid unit in pixels: capitals are 6 units high. */
static float unit(float size)
{
    return size / 6.0F;
}

float bd_plot_text_width(float size, const char *s)
{
    float w = 0.0F;

    for (; *s; s++)
        w += glyph_width(bd_plot_glyph(*s)) * 0.86F + GAP;
    return w > 0.0F ? (w - GAP) * unit(size) : 0.0F;
}

/* ------------------------------------------------------------ one character */

struct segment {
    float ax, ay, bx, by;
};
struct pen {
    struct segment s[MAX_SEGMENTS];
    int n;
    float x, y; /* where it stands */
};

/* Appends a segment; a glyph beyond the limit loses its tail, not memory. */
static void draw_to(struct pen *p, float x, float y)
{
    if (p->n < MAX_SEGMENTS)
        p->s[p->n++] = (struct segment){p->x, p->y, x, y};
    p->x = x;
    p->y = y;
}

/* Turn at b on the way from a to c: rounded by a parabola when gentle. */
static void turn(struct pen *p, const float b[2], const float c[2])
{
    float ux = b[0] - p->x, uy = b[1] - p->y;
    float vx = c[0] - b[0], vy = c[1] - b[1];
    float lu = sqrtf(ux * ux + uy * uy), lv = sqrtf(vx * vx + vy * vy);
    float cut = 0.5F * (lu < lv ? lu : lv), from[2], to[2];

    cut = cut < 0.75F ? cut : 0.75F;
    if (lu < 1e-3F || lv < 1e-3F || ux * vx + uy * vy < 0.35F * lu * lv) {
        draw_to(p, b[0], b[1]);
        return;
    }
    from[0] = b[0] - ux / lu * cut;
    from[1] = b[1] - uy / lu * cut;
    to[0] = b[0] + vx / lv * cut;
    to[1] = b[1] + vy / lv * cut;
    draw_to(p, from[0], from[1]);
    for (int k = 1; k <= ROUND_STEPS; k++) {
        float t = (float)k / ROUND_STEPS, r = 1.0F - t;

        draw_to(p, r * r * from[0] + 2 * r * t * b[0] + t * t * to[0],
                r * r * from[1] + 2 * r * t * b[1] + t * t * to[1]);
    }
}

/* Reads one "xy" and returns what follows. */
static const char *point(float out[2], const char *g)
{
    out[0] = 0.86F * (float)(g[0] - '0'); /* letters narrower than the grid */
    out[1] = (float)(g[1] - '0');
    return g + 2;
}

/* Turns the text of a glyph into segments. */
static void trace(struct pen *p, const char *g)
{
    while (*g) {
        float b[2], c[2];

        g = point(b, g);
        p->x = b[0];
        p->y = b[1];
        if (!*g || *g == ' ')
            draw_to(p, b[0], b[1]);
        while (*g && *g != ' ') {
            g = point(b, g);
            if (*g && *g != ' ') {
                point(c, g);
                turn(p, b, c);
            } else {
                draw_to(p, b[0], b[1]);
            }
        }
        g += *g == ' ';
    }
}

/* From a point to a segment, all in grid units. */
static float distance(const struct segment *s, float x, float y)
{
    float ex = s->bx - s->ax, ey = s->by - s->ay;
    float px = x - s->ax, py = y - s->ay;
    float len = ex * ex + ey * ey;
    float t = len > 1e-9F ? (px * ex + py * ey) / len : 0.0F;

    t = t < 0.0F ? 0.0F : t > 1.0F ? 1.0F : t;
    px -= t * ex;
    py -= t * ey;
    return sqrtf(px * px + py * py);
}

/* Coverage by the nearest stroke, so strokes that meet do not add up to a
 * darker joint. */
static void draw_glyph(struct bd_canvas *c, const struct plot_text *t, float x,
                       const char *g)
{
    struct pen p = {.n = 0};
    float u = unit(t->size), top = t->y - 6.0F * u;
    float half = 0.5F * t->size * (t->weight > 0.0F ? t->weight : USUAL);
    int x1 = (int)(x + 5.0F * u + 3), y1 = (int)(top + 8.5F * u + 3);

    half = half < 0.55F ? 0.55F : half;
    trace(&p, g);
    for (int py = (int)top - 2; py < y1; py++) {
        for (int px = (int)x - 2; px < x1; px++) {
            float best = 1e9F;

            for (int k = 0; k < p.n; k++) {
                float d = distance(&p.s[k], ((float)px + 0.5F - x) / u,
                                   ((float)py + 0.5F - top) / u);

                best = d < best ? d : best;
            }
            bd_plot_blend(c, px, py, t->k, half + 0.5F - best * u);
        }
    }
}

void bd_plot_text(struct bd_canvas *c, const struct plot_text *t, const char *s)
{
    float w = bd_plot_text_width(t->size, s), x = t->x;

    if (t->align == PLOT_CENTRE)
        x -= 0.5F * w;
    else if (t->align == PLOT_RIGHT)
        x -= w;
    for (; *s; s++) {
        const char *g = bd_plot_glyph(*s);

        draw_glyph(c, t, x, g);
        x += (glyph_width(g) * 0.86F + GAP) * unit(t->size);
    }
}

void bd_plot_text_fit(struct bd_canvas *c, const struct plot_text *t,
                      const char *s, float room)
{
    char cut[160];
    size_t n = strlen(s), keep = sizeof cut - 4;

    if (n < sizeof cut && bd_plot_text_width(t->size, s) <= room) {
        bd_plot_text(c, t, s);
        return;
    }
    keep = keep < n ? keep : n;
    for (; keep > 0; keep--) { /* fewer letters until it fits */
        size_t tail = keep / 2;

        memcpy(cut, s, keep - tail);
        memcpy(cut + keep - tail, "..", 2);
        memcpy(cut + keep - tail + 2, s + n - tail, tail);
        cut[keep + 2] = '\0';
        if (bd_plot_text_width(t->size, cut) <= room)
            break;
    }
    if (keep > 0)
        bd_plot_text(c, t, cut);
}
