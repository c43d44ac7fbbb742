/* Themes: what each role looks like, per tier of colour.
 *
 * A theme is a row of styles by role.  A style names its colour twice: as
 * 24 bits, from which the 256-colour tier takes the nearest fixed colour, and
 * as one of the terminal's own 16, since those follow the user's palette and
 * nothing can be computed there.  -1 keeps what the terminal has; its
 * background is kept everywhere but under surfaces (active tab, cursor row).
 * A surface brings a colour for text with it: the terminal's own may be as
 * light or as dark as the surface is.
 *
 * Few colours with a meaning each: blue leads (bars, keys, the cursor), amber
 * is the grid and what the user touched, coral is trouble.  Red never stands
 * against green.  Without colour the mono row does the same with bold,
 * underline and reverse, and widgets add a sign wherever a colour says
 * something.
 *
 * The scales of 32 steps run even in OKLab lightness: the sequential one from
 * violet over teal to yellow, the diverging one from blue over the ground to
 * orange.  Both begin near the ground of the theme, so emptiness recedes. */
#include "wg_priv.h"

#include <string.h>

enum { NROLES = WG_SPARK + 1, STEPS = 32 };
enum { B = WG_A_BOLD, D = WG_A_DIM, U = WG_A_UNDER, R = WG_A_REV };

struct style {
    int32_t fg, bg;    /* 0xRRGGBB or -1 */
    int8_t fg16, bg16; /* 0..15 or -1 */
    uint8_t attr;      /* as foreground */
    uint8_t ground;    /* attributes it lends to any text on it */
};

struct scale {
    const uint32_t *rgb; /* [STEPS] */
    const uint8_t *c256; /* [STEPS] */
    const int8_t *c16;   /* [5] */
    const int8_t *c8;    /* [5] */
};

struct wg_theme {
    const char *name;
    const struct style *role; /* [NROLES] */
    struct scale heat, div;
};

/* clang-format off: tables read better in columns */
static const struct style dark[NROLES] = {
    [WG_TEXT] = {-1, -1, -1, -1, 0, 0},
    [WG_DIM] = {0x8b93a1, -1, 8, -1, 0, 0},
    [WG_TITLE] = {-1, -1, -1, -1, B, 0},
    [WG_TAB] = {0xa3abb8, -1, -1, -1, 0, 0},
    [WG_TAB_ACTIVE] = {0xeef2f8, 0x1f5a86, 15, 4, B, 0},
    [WG_HEADING] = {0x8fa6c6, -1, 6, -1, 0, 0},
    [WG_CURSOR] = {0xf1f4f9, 0x2b3547, 15, 8, 0, 0},
    [WG_MARK] = {0xe8b55f, -1, 3, -1, B, 0},
    [WG_GOOD] = {0x6fc3b2, -1, 6, -1, 0, 0},
    [WG_WARN] = {0xe8b55f, -1, 3, -1, 0, 0},
    [WG_BAD] = {0xf0877a, -1, 9, -1, B, 0},
    [WG_STALE] = {0x8b93a1, -1, 8, -1, 0, 0},
    [WG_PARTIAL] = {0xb0cbf0, -1, -1, -1, 0, 0},
    [WG_NUMBER] = {-1, -1, -1, -1, 0, 0},
    [WG_BAR] = {0x6f9fd8, 0x6f9fd8, 12, 12, 0, 0},
    [WG_BAR_ALT] = {0xf0a35e, 0xf0a35e, 11, 11, 0, 0},
    [WG_GRID] = {0xe8c37a, -1, 11, -1, 0, 0},
    [WG_AXIS] = {0x69717e, -1, 8, -1, 0, 0},
    [WG_KEY] = {0x86b1ee, -1, 12, -1, B, 0},
    [WG_KEY_TEXT] = {0xa3abb8, -1, -1, -1, 0, 0},
    [WG_STATUS] = {-1, -1, -1, -1, 0, 0},
    [WG_ERROR] = {0xf0877a, -1, 9, -1, B, 0},
    [WG_INPUT] = {-1, -1, -1, -1, 0, 0},
    [WG_FRAME] = {0x69717e, -1, 8, -1, 0, 0},
    [WG_MATCH] = {0xe8b55f, -1, 11, -1, U, 0},
    [WG_ACCENT] = {0x86b1ee, -1, 12, -1, B, 0},
    [WG_SPARK] = {0x5f87af, -1, 4, -1, 0, 0},
};

static const struct style light[NROLES] = {
    [WG_TEXT] = {-1, -1, -1, -1, 0, 0},
    [WG_DIM] = {0x636a77, -1, 8, -1, 0, 0},
    [WG_TITLE] = {-1, -1, -1, -1, B, 0},
    [WG_TAB] = {0x565d69, -1, -1, -1, 0, 0},
    [WG_TAB_ACTIVE] = {0x10233f, 0xbcd2f2, 15, 4, B, 0},
    [WG_HEADING] = {0x3f5f8a, -1, 4, -1, 0, 0},
    [WG_CURSOR] = {0x1b2230, 0xdde7f5, 0, 7, 0, 0},
    [WG_MARK] = {0x9a5b00, -1, 5, -1, B, 0},
    [WG_GOOD] = {0x007a6c, -1, 6, -1, 0, 0},
    [WG_WARN] = {0x9a5b00, -1, 5, -1, 0, 0},
    [WG_BAD] = {0xb3261e, -1, 1, -1, B, 0},
    [WG_STALE] = {0x636a77, -1, 8, -1, 0, 0},
    [WG_PARTIAL] = {0x4a5a72, -1, -1, -1, 0, 0},
    [WG_NUMBER] = {-1, -1, -1, -1, 0, 0},
    [WG_BAR] = {0x3b73bd, 0x3b73bd, 4, 4, 0, 0},
    [WG_BAR_ALT] = {0xb85c00, 0xb85c00, 5, 5, 0, 0},
    [WG_GRID] = {0x8a5a00, -1, 5, -1, 0, 0},
    [WG_AXIS] = {0x8d95a1, -1, 8, -1, 0, 0},
    [WG_KEY] = {0x1f5fb5, -1, 4, -1, B, 0},
    [WG_KEY_TEXT] = {0x565d69, -1, -1, -1, 0, 0},
    [WG_STATUS] = {-1, -1, -1, -1, 0, 0},
    [WG_ERROR] = {0xb3261e, -1, 1, -1, B, 0},
    [WG_INPUT] = {-1, -1, -1, -1, 0, 0},
    [WG_FRAME] = {0x8d95a1, -1, 8, -1, 0, 0},
    [WG_MATCH] = {0x9a5b00, -1, 5, -1, U, 0},
    [WG_ACCENT] = {0x1f5fb5, -1, 4, -1, B, 0},
    [WG_SPARK] = {0x7f9cc4, -1, 4, -1, 0, 0},
};

/* Nothing is grey; what matters is bold, underlined or reversed as well. */
static const struct style high[NROLES] = {
    [WG_TEXT] = {-1, -1, -1, -1, 0, 0},
    [WG_DIM] = {-1, -1, -1, -1, 0, 0},
    [WG_TITLE] = {-1, -1, -1, -1, B, 0},
    [WG_TAB] = {-1, -1, -1, -1, 0, 0},
    [WG_TAB_ACTIVE] = {-1, -1, -1, -1, B, R},
    [WG_HEADING] = {-1, -1, -1, -1, B | U, 0},
    [WG_CURSOR] = {-1, -1, -1, -1, 0, R},
    [WG_MARK] = {0xffd75f, -1, 11, -1, B, 0},
    [WG_GOOD] = {0x5fffff, -1, 14, -1, 0, 0},
    [WG_WARN] = {0xffd75f, -1, 11, -1, B, 0},
    [WG_BAD] = {0xffaf87, -1, 9, -1, B | U, 0},
    [WG_STALE] = {-1, -1, -1, -1, 0, 0},
    [WG_PARTIAL] = {-1, -1, -1, -1, 0, 0},
    [WG_NUMBER] = {-1, -1, -1, -1, 0, 0},
    [WG_BAR] = {0x87d7ff, 0x87d7ff, 14, 14, 0, 0},
    [WG_BAR_ALT] = {0xffaf00, 0xffaf00, 11, 11, B, 0},
    [WG_GRID] = {0xffd75f, -1, 11, -1, B, 0},
    [WG_AXIS] = {-1, -1, -1, -1, 0, 0},
    [WG_KEY] = {0x87d7ff, -1, 14, -1, B, 0},
    [WG_KEY_TEXT] = {-1, -1, -1, -1, 0, 0},
    [WG_STATUS] = {-1, -1, -1, -1, B, 0},
    [WG_ERROR] = {-1, -1, -1, -1, B | R, 0},
    [WG_INPUT] = {-1, -1, -1, -1, 0, 0},
    [WG_FRAME] = {-1, -1, -1, -1, 0, 0},
    [WG_MATCH] = {0xffd75f, -1, 11, -1, B | U, 0},
    [WG_ACCENT] = {0x87d7ff, -1, 14, -1, B, 0},
    [WG_SPARK] = {0x87d7ff, -1, 14, -1, 0, 0},
};

static const struct style mono[NROLES] = {
    [WG_TEXT] = {-1, -1, -1, -1, 0, 0},
    [WG_DIM] = {-1, -1, -1, -1, D, 0},
    [WG_TITLE] = {-1, -1, -1, -1, B, 0},
    [WG_TAB] = {-1, -1, -1, -1, 0, 0},
    [WG_TAB_ACTIVE] = {-1, -1, -1, -1, B, R},
    [WG_HEADING] = {-1, -1, -1, -1, U, 0},
    [WG_CURSOR] = {-1, -1, -1, -1, 0, R},
    [WG_MARK] = {-1, -1, -1, -1, B, 0},
    [WG_GOOD] = {-1, -1, -1, -1, 0, 0},
    [WG_WARN] = {-1, -1, -1, -1, B, 0},
    [WG_BAD] = {-1, -1, -1, -1, B | U, 0},
    [WG_STALE] = {-1, -1, -1, -1, D, 0},
    [WG_PARTIAL] = {-1, -1, -1, -1, 0, 0},
    [WG_NUMBER] = {-1, -1, -1, -1, 0, 0},
    [WG_BAR] = {-1, -1, -1, -1, 0, R},
    [WG_BAR_ALT] = {-1, -1, -1, -1, B, R},
    [WG_GRID] = {-1, -1, -1, -1, B, 0},
    [WG_AXIS] = {-1, -1, -1, -1, D, 0},
    [WG_KEY] = {-1, -1, -1, -1, B, 0},
    [WG_KEY_TEXT] = {-1, -1, -1, -1, 0, 0},
    [WG_STATUS] = {-1, -1, -1, -1, 0, 0},
    [WG_ERROR] = {-1, -1, -1, -1, B, 0},
    [WG_INPUT] = {-1, -1, -1, -1, 0, 0},
    [WG_FRAME] = {-1, -1, -1, -1, D, 0},
    [WG_MATCH] = {-1, -1, -1, -1, B | U, 0},
    [WG_ACCENT] = {-1, -1, -1, -1, B, 0},
    [WG_SPARK] = {-1, -1, -1, -1, 0, 0},
};

/* ---------------------------------------------------------------- scales */

static const uint32_t heat_dark[STEPS] = {
    0x301d62, 0x2c266c, 0x272e75, 0x20367d, 0x143f84, 0x004788, 0x025084,
    0x015884, 0x046084, 0x026786, 0x066e88, 0x097689, 0x087d8b, 0x04848d,
    0x068c8e, 0x04938f, 0x0c9b8f, 0x06a38e, 0x01ab8c, 0x01b387, 0x23ba82,
    0x44bf7d, 0x5dc479, 0x72c975, 0x86cd72, 0x98d16f, 0xaad56d, 0xbbd96c,
    0xcbdd6c, 0xdbe06e, 0xebe371, 0xfae776,
};
static const uint32_t heat_light[STEPS] = {
    0xfae776, 0xebe371, 0xdbe06e, 0xcbdd6c, 0xbbd96c, 0xaad56d, 0x98d16f,
    0x86cd72, 0x72c975, 0x5dc479, 0x44bf7d, 0x23ba82, 0x01b387, 0x01ab8c,
    0x06a38e, 0x0c9b8f, 0x04938f, 0x068c8e, 0x04848d, 0x087d8b, 0x097689,
    0x066e88, 0x026786, 0x046084, 0x015884, 0x025084, 0x004788, 0x143f84,
    0x20367d, 0x272e75, 0x2c266c, 0x301d62,
};
static const uint32_t div_dark[STEPS] = {
    0x89c3fe, 0x77bafe, 0x70b1f3, 0x6ca8e5, 0x679fd7, 0x6396ca, 0x5f8dbc,
    0x5b84af, 0x577ca2, 0x537395, 0x4f6b88, 0x4b627b, 0x475a6d, 0x445260,
    0x404953, 0x3e4145, 0x44403c, 0x51463e, 0x5d4c40, 0x695342, 0x745a44,
    0x806046, 0x8c6749, 0x986e4b, 0xa4754e, 0xb07c51, 0xbc8353, 0xc98b56,
    0xd59259, 0xe2995c, 0xeea15f, 0xfba962,
};
static const uint32_t div_light[STEPS] = {
    0x0465af, 0x1f6eb4, 0x3077ba, 0x3f80bf, 0x4d89c5, 0x5b92ca, 0x689bcf,
    0x75a4d4, 0x83add8, 0x90b5dd, 0x9dbee1, 0xabc7e5, 0xb9d0e9, 0xc7d9ec,
    0xd6e2ee, 0xe5eaf0, 0xeee8e4, 0xebddd2, 0xe7d2c2, 0xe3c7b2, 0xdebda3,
    0xd9b294, 0xd3a885, 0xcd9d76, 0xc89367, 0xc18859, 0xbb7e4a, 0xb5743a,
    0xae6928, 0xa85f10, 0x9e5704, 0x925003,
};
/* The same in the 256 fixed colours, chosen by eye: the nearest one is often
 * a grey. */
static const uint8_t heat256_dark[STEPS] = {
    17, 17, 18, 18, 18, 24, 24, 24, 24,  24,  30,  30,  30,  30,  30,  36,
    36, 36, 36, 36, 42, 78, 78, 78, 114, 114, 149, 149, 185, 185, 221, 227,
};
static const uint8_t heat256_light[STEPS] = {
    227, 221, 185, 185, 149, 149, 114, 114, 78, 78, 78, 42, 36, 36, 36, 36,
    36,  30,  30,  30,  30,  30,  24,  24,  24, 24, 24, 18, 18, 18, 17, 17,
};
static const uint8_t div256_dark[STEPS] = {
    117, 111, 75,  74,  74,  68,  67,  67,  67,  60,  60,
    60,  240, 239, 238, 238, 238, 238, 239, 240, 240, 95,
    95,  137, 137, 137, 137, 173, 173, 173, 215, 215,
};
static const uint8_t div256_light[STEPS] = {
    25,  25,  31,  32,  68,  68,  74,  74,  110, 110, 146,
    153, 153, 188, 254, 255, 255, 254, 254, 187, 223, 180,
    180, 180, 173, 137, 137, 137, 130, 130, 130, 94,
};
/* Five steps of rising (dark) or falling (light) brightness. */
static const int8_t heat16_dark[5] = {4, 12, 6, 10, 11};
static const int8_t heat16_light[5] = {11, 10, 6, 12, 4};
static const int8_t heat8_dark[5] = {4, 4, 6, 3, 7};
static const int8_t heat8_light[5] = {3, 6, 6, 4, 0};
static const int8_t div16_dark[5] = {12, 4, 8, 3, 11};
static const int8_t div16_light[5] = {4, 12, 7, 11, 3};
static const int8_t div8_dark[5] = {4, 4, 0, 3, 3};
static const int8_t div8_light[5] = {4, 4, 7, 3, 3};

/* clang-format on */
static const struct wg_theme themes[] = {
    {"dark",
     dark,
     {heat_dark, heat256_dark, heat16_dark, heat8_dark},
     {div_dark, div256_dark, div16_dark, div8_dark}},
    {"light",
     light,
     {heat_light, heat256_light, heat16_light, heat8_light},
     {div_light, div256_light, div16_light, div8_light}},
    {"high-contrast",
     high,
     {heat_dark, heat256_dark, heat16_dark, heat8_dark},
     {div_dark, div256_dark, div16_dark, div8_dark}},
    {"mono",
     mono,
     {heat_dark, heat256_dark, heat16_dark, heat8_dark},
     {div_dark, div256_dark, div16_dark, div8_dark}},
};

const char *const wg_theme_names[] = {"dark", "light", "high-contrast", "mono",
                                      NULL};

const struct wg_theme *wg_theme_find(const char *name)
{
    for (size_t i = 0; i < sizeof themes / sizeof themes[0]; i++) {
        if (strcmp(name, themes[i].name) == 0) {
            return &themes[i];
        }
    }
    return NULL;
}

bool wg_theme_is_mono(const struct wg_theme *th)
{
    return th->role == mono;
}

/* --------------------------------------------------------------- colours */

static int cube_step(int v) /* index of the nearest of 0 95 135 175 215 255 */
{
    return v < 48 ? 0 : v < 115 ? 1 : (v - 35) / 40;
}

static int distance(uint32_t a, int r, int g, int b)
{
    int dr = (int)(a >> 16) - r, dg = (int)(a >> 8 & 255) - g;
    int db = (int)(a & 255) - b;
    return dr * dr + dg * dg + db * db;
}

int wg_rgb_to_256(uint32_t rgb)
{
    static const int level[6] = {0, 95, 135, 175, 215, 255};
    int r = (int)(rgb >> 16 & 255), g = (int)(rgb >> 8 & 255);
    int b = (int)(rgb & 255);
    int cr = cube_step(r), cg = cube_step(g), cb = cube_step(b);
    int grey = (r + g + b) / 3;
    int step = grey < 8 ? 0 : grey > 238 ? 23 : (grey - 3) / 10;
    int shade = 8 + 10 * step;

    if (distance(rgb & 0xffffff, shade, shade, shade) <
        distance(rgb & 0xffffff, level[cr], level[cg], level[cb])) {
        return 232 + step;
    }
    return 16 + 36 * cr + 6 * cg + cb;
}

/* A colour of the tier, from its 24 bits and its place among the 16. */
static int tier_color(enum wg_colors colors, int32_t rgb, int c16)
{
    if (colors == WG_COLORS_TRUE) {
        return rgb;
    }
    if (colors == WG_COLORS_256) {
        return rgb < 0 ? -1 : wg_rgb_to_256((uint32_t)rgb);
    }
    return c16;
}

static bool is_scale(unsigned role)
{
    return role >= WG_HEAT0 && role < WG_ROLES;
}

static int scale_color(const struct wg_theme *th, enum wg_colors colors,
                       unsigned role)
{
    const struct scale *s = role < WG_DIV0 ? &th->heat : &th->div;
    unsigned n = role & (STEPS - 1);
    unsigned fifth = n * 5 / STEPS;

    if (colors == WG_COLORS_256) {
        return s->c256[n];
    }
    return tier_color(colors, (int32_t)s->rgb[n],
                      colors == WG_COLORS_8 ? s->c8[fifth] : s->c16[fifth]);
}

static const struct style *style_of(const struct wg_theme *th, unsigned role)
{
    return &th->role[role < NROLES ? role : WG_TEXT];
}

/* Black or white, whichever can be read on a step of a scale. */
static int ink_on(const struct wg_theme *th, enum wg_colors colors,
                  unsigned role)
{
    const struct scale *s = role < WG_DIV0 ? &th->heat : &th->div;
    uint32_t c = s->rgb[role & (STEPS - 1)];
    /* luma in 1/256, weights of Rec. 709 */
    unsigned luma = 54 * (c >> 16) + 183 * (c >> 8 & 255) + 19 * (c & 255);
    bool dark_ink = luma / 256 > 110;

    return tier_color(colors, dark_ink ? 0x101418 : 0xf4f6fa,
                      dark_ink                ? 0
                      : colors == WG_COLORS_8 ? 7
                                              : 15);
}

/* On a surface nothing is left to the terminal: text without a colour of its
 * own, or with the surface's, takes the colour the surface brings.  Bars are
 * filled with their own colour and stay so. */
static void ink_surface(struct wg_look *look, int own, bool bar)
{
    if (look->bg >= 0 && !bar && (look->fg < 0 || look->fg == look->bg)) {
        look->fg = own;
    }
}

/* Eight colours have no bright half: bright text is bold, grey text dim, and
 * a grey ground becomes reverse, under which both colours stay the terminal's
 * own so that they differ. */
static void narrow_to_8(struct wg_look *look)
{
    if (look->bg == 8) {
        look->fg = look->bg = -1;
        look->attr |= WG_A_REV;
    }
    if (look->fg == 8) {
        look->fg = -1;
        look->attr |= WG_A_DIM;
    } else if (look->fg > 8) {
        look->fg -= 8;
        look->attr |= WG_A_BOLD;
    }
    if (look->bg > 8) {
        look->bg -= 8;
    }
}

struct wg_look wg_theme_look(const struct wg_theme *th, enum wg_colors colors,
                             const struct wg_cell *cell)
{
    if (colors == WG_COLORS_NONE || wg_theme_is_mono(th)) {
        unsigned attr = style_of(&themes[3], cell->fg)->attr |
                        style_of(&themes[3], cell->bg)->ground;
        return (struct wg_look){-1, -1, attr};
    }
    const struct style *f = style_of(th, cell->fg);
    const struct style *b = style_of(th, cell->bg);
    struct wg_look look = {
        .fg = tier_color(colors, f->fg, f->fg16),
        .bg = tier_color(colors, b->bg, b->bg16),
        .attr = (unsigned)(f->attr | b->ground),
    };
    if (is_scale(cell->fg)) {
        look.fg = scale_color(th, colors, cell->fg);
    } else if (is_scale(cell->bg)) {
        look.fg = ink_on(th, colors, cell->bg);
    }
    if (is_scale(cell->bg)) {
        look.bg = scale_color(th, colors, cell->bg);
    }
    int own = tier_color(colors, b->fg, b->fg16);
    bool bar = cell->fg == cell->bg || is_scale(cell->bg);
    ink_surface(&look, own, bar);
    if (colors == WG_COLORS_8) {
        narrow_to_8(&look);
        ink_surface(&look, own & 7, bar);
    }
    return look;
}
