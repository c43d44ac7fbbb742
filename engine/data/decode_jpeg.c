/* JPEG through libjpeg: from memory, sizes checked before anything is
 * allocated, errors jump back here, warnings (a file cut short) count as
 * errors, and endless progressive scans are stopped. */
#include "data/data_priv.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

enum { MAX_SCANS = 100 };

struct jpeg_job {
    struct jpeg_error_mgr err; /* first: libjpeg hands it back */
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    char why[JMSG_LENGTH_MAX];
    uint8_t *pixels; /* [h][w][3] */
    bool starved; /* by us, not by the file: the picture may be whole */
};

bool bd_jpeg_is(const struct bd_file *f)
{
    return f->size >= 3 && f->data[0] == 0xff && f->data[1] == 0xd8 &&
           f->data[2] == 0xff;
}

/* libjpeg must not return from here. */
static void on_error(j_common_ptr c)
{
    struct jpeg_job *j = (struct jpeg_job *)(void *)c->err;

    c->err->format_message(c, j->why);
    longjmp(j->back, 1);
}

/* Our own refusals leave by the same door as the library's. */
static void give_up(j_decompress_ptr c, const char *why)
{
    struct jpeg_job *j = (struct jpeg_job *)(void *)c->err;

    snprintf(j->why, sizeof j->why, "%s", why);
    longjmp(j->back, 1);
}

/* Level -1 is damaged data: half a picture is not the picture. */
static void on_message(j_common_ptr c, int level)
{
    if (level < 0)
        on_error(c);
}

/* A small file may ask for endless passes over a large picture. */
static void on_progress(j_common_ptr c)
{
    j_decompress_ptr d = (j_decompress_ptr)(void *)c;

    if (d->input_scan_number > MAX_SCANS)
        give_up(d, "more than 100 scans");
}

/* The slow integer transform: the fast one differs by a few grey levels from
 * what training pipelines decode. */
static void read_header(j_decompress_ptr c, const struct bd_file *f)
{
    jpeg_mem_src(c, f->data, (unsigned long)f->size);
    jpeg_read_header(c, TRUE);
    if (c->image_width > BD_MAX_PICTURE_SIDE ||
        c->image_height > BD_MAX_PICTURE_SIDE ||
        (int64_t)c->image_width * c->image_height > BD_MAX_PIXELS)
        give_up(c, "more than 64 megapixels or 16384 pixels a side");
    if (c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK)
        give_up(c, "four colour planes (CMYK); save it as RGB");
    c->out_color_space = JCS_RGB;
    c->dct_method = JDCT_ISLOW;
}

static void read_pixels(j_decompress_ptr c, struct jpeg_job *j)
{
    size_t line = (size_t)c->image_width * 3;

    j->pixels = bd_alloc((size_t)c->image_height, line);
    j->starved = !j->pixels;
    if (j->starved)
        give_up(c, "out of memory");
    jpeg_start_decompress(c);
    while (c->output_scanline < c->output_height) {
        JSAMPROW row = j->pixels + c->output_scanline * line;

        jpeg_read_scanlines(c, &row, 1);
    }
    jpeg_finish_decompress(c);
}

/* The job outlives this frame, so nothing setjmp guards is lost by a jump. */
static bd_status decode(struct jpeg_job *j, j_decompress_ptr c,
                        const struct bd_file *f)
{
    if (setjmp(j->back) != 0)
        return j->starved ? BD_ENOMEM : BD_EFORMAT;
    jpeg_create_decompress(c);
    c->progress = &j->progress;
    read_header(c, f);
    read_pixels(c, j);
    return BD_OK;
}

bd_status bd_jpeg_decode(struct data_picture *p, const struct bd_file *f,
                         struct bd_err *err)
{
    struct jpeg_decompress_struct c;
    struct jpeg_job j = {.progress = {.progress_monitor = on_progress}};
    bd_status st;

    memset(&c, 0, sizeof c);
    c.err = jpeg_std_error(&j.err);
    j.err.error_exit = on_error;
    j.err.emit_message = on_message;
    st = decode(&j, &c, f);
    if (st != BD_OK)
        bd_fail(err, st, "JPEG: %s", j.why);
    else
        st = bd_picture_init(p, 3, c.image_height, c.image_width, err);
    if (st == BD_OK)
        bd_picture_pixels(p, j.pixels);
    bd_free(j.pixels);
    jpeg_destroy_decompress(&c);
    return st;
}
