/* PNG through libpng: from memory, with user limits on size and chunks, and
 * errors that jump back here.  Whatever the file holds (palette, grey, 16
 * bits, alpha) comes out as 8-bit RGB; alpha is dropped, as the picture
 * libraries of training code do. */
#include "data/data_priv.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_CACHE = 64, CHUNK_BYTES = 8 << 20 };

struct png_job {
    struct bd_reader in;
    char why[96];
    bool starved; /* by us, not by the file: the picture may be whole */
    jmp_buf back;
    uint8_t *pixels; /* [h][w][3] */
    png_bytep *row;
    uint32_t w, h;
};

bool bd_png_is(const struct bd_file *f)
{
    return f->size >= 8 && memcmp(f->data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

/* libpng must not return from here; the sentence is kept for the caller. */
static void on_error(png_structp png, png_const_charp msg)
{
    struct png_job *j = png_get_error_ptr(png);

    snprintf(j->why, sizeof j->why, "%s", msg);
    longjmp(j->back, 1);
}

/* Warnings are about ancillary data that does not reach the pixels. */
static void on_warning(png_structp png, png_const_charp msg)
{
    (void)png;
    (void)msg;
}

/* The one place that hands out bytes, through the checked cursor. */
static void on_read(png_structp png, png_bytep dst, size_t n)
{
    struct png_job *j = png_get_io_ptr(png);
    const uint8_t *p = bd_take(&j->in, n);

    if (!p)
        png_error(png, "file cut short");
    memcpy(dst, p, n);
}

/* Limits first, then the conversions that make any PNG 8-bit RGB. */
static void read_header(png_structp png, png_infop info, struct png_job *j)
{
    png_set_user_limits(png, BD_MAX_PICTURE_SIDE, BD_MAX_PICTURE_SIDE);
    png_set_chunk_cache_max(png, CHUNK_CACHE);
    png_set_chunk_malloc_max(png, CHUNK_BYTES);
    png_set_read_fn(png, j, on_read);
    png_read_info(png, info);
    j->w = png_get_image_width(png, info);
    j->h = png_get_image_height(png, info);
    if ((int64_t)j->w * j->h > BD_MAX_PIXELS)
        png_error(png, "more than 64 megapixels");
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    png_set_gray_to_rgb(png);
    (void)png_set_interlace_handling(png);
    png_read_update_info(png, info);
    if (png_get_rowbytes(png, info) != (size_t)j->w * 3)
        png_error(png, "unexpected row size");
}

static void read_pixels(png_structp png, struct png_job *j)
{
    j->pixels = bd_alloc((size_t)j->w * j->h, 3);
    j->row = bd_alloc(j->h, sizeof *j->row);
    j->starved = !j->pixels || !j->row;
    if (j->starved)
        png_error(png, "out of memory");
    for (uint32_t y = 0; y < j->h; y++)
        j->row[y] = j->pixels + (size_t)y * j->w * 3;
    png_read_image(png, j->row);
    png_read_end(png, NULL);
}

/* The job outlives this frame, so nothing setjmp guards is lost by a jump. */
static bd_status decode(struct png_job *j, png_structp png, png_infop info)
{
    if (setjmp(j->back) != 0)
        return j->starved ? BD_ENOMEM : BD_EFORMAT;
    read_header(png, info, j);
    read_pixels(png, j);
    return BD_OK;
}

bd_status bd_png_decode(struct data_picture *p, const struct bd_file *f,
                        struct bd_err *err)
{
    struct png_job j = {.in = {f->data, f->size, 0}};
    png_structp png =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &j, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    bd_status st;

    if (!info) {
        png_destroy_read_struct(&png, NULL, NULL);
        return bd_fail(err, BD_ENOMEM, "out of memory for a PNG");
    }
    st = decode(&j, png, info);
    if (st != BD_OK)
        bd_fail(err, st, "PNG: %s", j.why);
    else
        st = bd_picture_init(p, 3, j.h, j.w, err);
    if (st == BD_OK)
        bd_picture_pixels(p, j.pixels);
    bd_free(j.pixels);
    bd_free(j.row);
    png_destroy_read_struct(&png, &info, NULL);
    return st;
}
