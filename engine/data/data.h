/* data: labelled pictures.  CIFAR and IDX files, npz, folders of PNG and
 * JPEG, and sets made from mathematics; preprocessing presets.  Content
 * decides the format. */
#ifndef BD_DATA_H
#define BD_DATA_H

#include "tensor/tensor.h"

/* ---------------------------------------------------------- preprocessing */
struct bd_prep {
    int resize;   /* shortest side, 0 = none; bilinear, antialiased */
    int crop;     /* centre square, 0 = none, -1 = the network's side */
    double scale; /* multiplies 0..255 */
    double mean[3], std[3]; /* after scale, in `order` */
    bool bgr;
};
/* A preset (imagenet, cifar10, cifar10-akamaster, cifar10-apot, mnist01,
 * raw255, caffe-bgr) or a list "resize=256,crop=224,scale=1/255,mean=...". */
bd_status bd_prep_parse(struct bd_prep *out, const char *text,
                        struct bd_err *err);
char *bd_prep_text(char *out, size_t cap, const struct bd_prep *p);

/* ---------------------------------------------------------------- data sets
 * Immutable after open; fetch from any thread. */
struct bd_data;
bd_status bd_data_open(struct bd_data **out, const char *spec,
                       struct bd_err *err);
void bd_data_free(struct bd_data *d);
const char *bd_data_name(const struct bd_data *d); /* "test_first1017.bin" */
int64_t bd_data_count(const struct bd_data *d);
int64_t bd_data_classes(const struct bd_data *d);      /* largest label + 1, at
                                     least what the format says */
int bd_data_label(const struct bd_data *d, int64_t i); /* -1 = none */
/* Shape [c,h,w] of the stored pictures; 0 sides when they differ. */
void bd_data_shape(const struct bd_data *d, int64_t dim[3]);
/* Preprocessed picture i as [c,h,w] floats; want = the elements the network
 * takes: a mismatch is refused with both shapes named. */
bd_status bd_data_fetch(const struct bd_data *d, const struct bd_prep *p,
                        int64_t i, float *dst, size_t want, struct bd_err *err);
/* A set without a file: "synth:glyphs" (10 classes, 3x32x32; images of the
 * training part with "synth:glyphs/train").  Image i depends on i alone. */
/* Training augmentation: random crop with 4 pixels of padding and a
 * horizontal flip (crop only for glyphs), from rng. */
void bd_data_augment(float *x, const int64_t dim[3], bool flip,
                     struct bd_rng *r);

#endif
