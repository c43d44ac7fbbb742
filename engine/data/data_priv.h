/* Inside data/ only.  A data set is a row of the table in data.c (how to
 * recognise, open, and decode one format) plus what that row remembers.
 * Every format hands over pictures as float planes; what happens to a picture
 * afterwards (resize, crop, scale, order) is the same for all, in prep.c and
 * resize.c. */
#ifndef BD_DATA_PRIV_H
#define BD_DATA_PRIV_H

#include "data/data.h"

enum { DATA_CROP_NET = -1 }; /* crop to the side the network takes */

/* One decoded picture: [c][h][w], owned by whoever asked for it. */
struct data_picture {
    int c, h, w;
    bool bytes; /* whole numbers 0..255: resizing rounds after each pass, as
                   picture libraries do */
    float *x;
};
bd_status bd_picture_init(struct data_picture *p, int64_t c, int64_t h,
                          int64_t w, struct bd_err *err);
void bd_picture_done(struct data_picture *p);
/* Stored bytes, plane by plane or pixel by pixel, into p->x. */
void bd_picture_planes(struct data_picture *p, const uint8_t *src);
void bd_picture_pixels(struct data_picture *p, const uint8_t *src);

/* In place; *p is untouched on failure. */
bd_status bd_picture_resize(struct data_picture *p, int shortest,
                            struct bd_err *err);
bd_status bd_picture_crop(struct data_picture *p, int side, struct bd_err *err);
bd_status bd_picture_channels(struct data_picture *p, int channels,
                              struct bd_err *err);

/* What open is given: the spec as typed and, for files, the bytes. */
struct data_input {
    const char *spec;
    bool dir;
    struct bd_file file; /* empty for folders and synthetic sets */
};

struct data_kind {
    const char *name;
    bool (*probe)(const struct data_input *in);
    /* Fills n, dim, classes, label and priv of d.  May move in->file into d
     * by copying it and zeroing the original. */
    bd_status (*open)(struct bd_data *d, struct data_input *in,
                      struct bd_err *err);
    bd_status (*get)(struct data_picture *p, const struct bd_data *d, int64_t i,
                     struct bd_err *err); /* any thread */
    void (*close)(struct bd_data *d);     /* NULL: nothing of its own */
};

struct bd_data {
    const struct data_kind *kind;
    char path[512]; /* as given, for messages */
    const char *name;
    int64_t n, classes;
    int64_t dim[3];
    int *label; /* [n] or NULL = none; owned */
    struct bd_file file;
    struct bd_arena arena;
    void *priv; /* the format's own, freed by close */
};
/* Labels from int64 or anything else pass through here, so that the range is
 * checked in one place.  limit: exclusive, 0 = only what fits. */
bd_status bd_data_set_label(struct bd_data *d, int64_t i, int64_t label,
                            int64_t limit, struct bd_err *err);
bd_status bd_data_alloc_labels(struct bd_data *d, struct bd_err *err);

extern const struct data_kind bd_data_glyphs;
extern const struct data_kind bd_data_idx;
extern const struct data_kind bd_data_npz;
extern const struct data_kind bd_data_folder;
extern const struct data_kind bd_data_cifar;

/* Decoders of single pictures; always three channels, RGB. */
bd_status bd_png_decode(struct data_picture *p, const struct bd_file *f,
                        struct bd_err *err);
bd_status bd_jpeg_decode(struct data_picture *p, const struct bd_file *f,
                         struct bd_err *err);
bool bd_png_is(const struct bd_file *f);
bool bd_jpeg_is(const struct bd_file *f);

#endif
