/* The raster canvas: colours blended by how much of a pixel is covered, and
 * the PNG writer, which encodes into memory so that bd_save can keep its
 * promise about half-written files. */
#include "plot/plot_priv.h"

#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

bd_status bd_canvas_init(struct bd_canvas *c, int w, int h, struct bd_err *err)
{
    if (w < 1 || h < 1 || w > BD_MAX_PICTURE_SIDE || h > BD_MAX_PICTURE_SIDE ||
        (int64_t)w * h > BD_MAX_PIXELS)
        return bd_fail(err, BD_EINVALID,
                       "a picture of %dx%d pixels; 1x1 to %dx%d and 64 "
                       "megapixels are possible",
                       w, h, BD_MAX_PICTURE_SIDE, BD_MAX_PICTURE_SIDE);
    *c = (struct bd_canvas){.w = w, .h = h};
    c->rgb = bd_calloc((size_t)w * (size_t)h, 3);
    if (!c->rgb)
        return bd_fail(err, BD_ENOMEM, "out of memory for a picture");
    return BD_OK;
}

void bd_canvas_done(struct bd_canvas *c)
{
    bd_free(c->rgb);
    *c = (struct bd_canvas){0};
}

/* ---------------------------------------------------------------- drawing */

/* lrintf rounds to nearest: blending twice does not drift darker. */
static uint8_t mix(uint8_t a, uint8_t b, float alpha)
{
    return (uint8_t)lrintf((float)a + alpha * ((float)b - (float)a));
}

/* The only function that writes a pixel, and the only one that clips. */
void bd_plot_blend(struct bd_canvas *c, int x, int y, struct plot_rgb k,
                   float alpha)
{
    uint8_t *p;

    if (x < 0 || y < 0 || x >= c->w || y >= c->h || !(alpha > 0.0F))
        return;
    alpha = alpha < 1.0F ? alpha : 1.0F;
    p = c->rgb + ((size_t)y * (size_t)c->w + (size_t)x) * 3;
    p[0] = mix(p[0], k.r, alpha);
    p[1] = mix(p[1], k.g, alpha);
    p[2] = mix(p[2], k.b, alpha);
}

void bd_plot_fill(struct bd_canvas *c, struct plot_rgb k)
{
    for (int y = 0; y < c->h; y++) {
        for (int x = 0; x < c->w; x++)
            bd_plot_blend(c, x, y, k, 1.0F);
    }
}

static float clampf(float v, float lo, float hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* How much of pixel p the stretch [a, b) covers. */
static float covered(int p, float a, float b)
{
    float lo = a > (float)p ? a : (float)p;
    float hi = b < (float)p + 1.0F ? b : (float)p + 1.0F;

    return clampf(hi - lo, 0.0F, 1.0F);
}

/* Edges between pixels show as partly covered pixels, not as jumps. */
void bd_plot_rect(struct bd_canvas *c, struct plot_box b, struct plot_rgb k,
                  float alpha)
{
    int x0, x1, y0, y1;

    b.x0 = clampf(b.x0, 0.0F, (float)c->w);
    b.x1 = clampf(b.x1, 0.0F, (float)c->w);
    b.y0 = clampf(b.y0, 0.0F, (float)c->h);
    b.y1 = clampf(b.y1, 0.0F, (float)c->h);
    x0 = (int)b.x0;
    x1 = (int)ceilf(b.x1);
    y0 = (int)b.y0;
    y1 = (int)ceilf(b.y1);
    for (int y = y0; y < y1; y++) {
        float cy = covered(y, b.y0, b.y1) * alpha;

        for (int x = x0; x < x1; x++)
            bd_plot_blend(c, x, y, k, cy * covered(x, b.x0, b.x1));
    }
}

/* Distance to the segment, pixel by pixel, over its bounding box. */
void bd_plot_line(struct bd_canvas *c, struct plot_box b, float width,
                  struct plot_rgb k)
{
    float ex = b.x1 - b.x0, ey = b.y1 - b.y0, len = ex * ex + ey * ey;
    float half = 0.5F * width, reach = half + 1.0F;
    float lx = b.x0 < b.x1 ? b.x0 : b.x1, hx = b.x0 < b.x1 ? b.x1 : b.x0;
    float ly = b.y0 < b.y1 ? b.y0 : b.y1, hy = b.y0 < b.y1 ? b.y1 : b.y0;
    int x0 = (int)clampf(lx - reach, 0, (float)c->w);
    int x1 = (int)clampf(hx + reach + 1, 0, (float)c->w);
    int y0 = (int)clampf(ly - reach, 0, (float)c->h);
    int y1 = (int)clampf(hy + reach + 1, 0, (float)c->h);

    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            float px = (float)x + 0.5F - b.x0, py = (float)y + 0.5F - b.y0;
            float t = len > 0.0F ? (px * ex + py * ey) / len : 0.0F;

            t = clampf(t, 0.0F, 1.0F);
            px -= t * ex;
            py -= t * ey;
            bd_plot_blend(c, x, y, k, half + 0.5F - sqrtf(px * px + py * py));
        }
    }
}

/* A line without length has round ends only. */
void bd_plot_dot(struct bd_canvas *c, float x, float y, float r,
                 struct plot_rgb k)
{
    bd_plot_line(c, (struct plot_box){x, y, x, y}, 2 * r, k);
}

/* Distance in the sum of both directions, seen at 45 degrees. */
void bd_plot_diamond(struct bd_canvas *c, float x, float y, float r,
                     struct plot_rgb k)
{
    int x0 = (int)clampf(x - r - 1, 0, (float)c->w);
    int x1 = (int)clampf(x + r + 2, 0, (float)c->w);
    int y0 = (int)clampf(y - r - 1, 0, (float)c->h);
    int y1 = (int)clampf(y + r + 2, 0, (float)c->h);

    for (int py = y0; py < y1; py++) {
        for (int px = x0; px < x1; px++) {
            float d = fabsf((float)px + 0.5F - x) + fabsf((float)py + 0.5F - y);

            bd_plot_blend(c, px, py, k, (r - d) * 0.7071F + 0.5F);
        }
    }
}

/* ---------------------------------------------------------------- PNG out */

struct png_job {
    jmp_buf back;
    struct bd_str out;
};

/* libpng must not return from here. */
static void on_error(png_structp png, png_const_charp msg)
{
    struct png_job *j = png_get_error_ptr(png);

    (void)msg;
    longjmp(j->back, 1);
}

static void on_warning(png_structp png, png_const_charp msg)
{
    (void)png;
    (void)msg;
}

/* Into memory: the disk is bd_save's business. */
static void on_write(png_structp png, png_bytep data, size_t n)
{
    struct png_job *j = png_get_io_ptr(png);

    bd_str_put(&j->out, (const char *)data, n);
    if (j->out.failed)
        png_error(png, "out of memory");
}

static void on_flush(png_structp png)
{
    (void)png;
}

/* The job outlives this frame, so nothing setjmp guards is lost by a jump. */
static bool encode(struct png_job *j, const struct bd_canvas *c,
                   png_structp png, png_infop info)
{
    if (setjmp(j->back) != 0)
        return false;
    png_set_write_fn(png, j, on_write, on_flush);
    png_set_IHDR(png, info, (png_uint_32)c->w, (png_uint_32)c->h, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < c->h; y++)
        png_write_row(png, c->rgb + (size_t)y * (size_t)c->w * 3);
    png_write_end(png, info);
    return true;
}

bd_status bd_png_write(const char *path, const struct bd_canvas *c, bool force,
                       struct bd_err *err)
{
    struct png_job j = {.out = {0}};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &j,
                                              on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bd_status st;

    if (info && encode(&j, c, png, info))
        st = bd_save(path, j.out.s, j.out.n, force, err);
    else
        st = bd_fail(err, BD_ENOMEM, "out of memory for writing a PNG");
    png_destroy_write_struct(&png, info ? &info : NULL);
    bd_str_done(&j.out);
    return st == BD_OK ? BD_OK : bd_err_file(err, path);
}
