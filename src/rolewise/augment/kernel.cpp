// Applies plans to images, image by image, every operation of an image while it lies in the cache.
//
// Each line repeats the arithmetic of the torch functions (tone.py, enhance.py, erase.py, geometry.py), in the same types
// and the same order, so that results are equal to the last bit. It must be compiled without contraction of products and
// sums (-ffp-contract=off) and without -ffast-math; whole numbers wrap (-fwrapv), as torch's do.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

namespace {

using Byte = uint8_t;

// As in native.py.
enum Step : int32_t {
    NONE = -1, WARP, BRIGHTNESS, CONTRAST, COLOR, SHARPNESS, POSTERIZE, SOLARIZE, AUTOCONTRAST, EQUALIZE, INVERT, CUTOUT
};

struct Shape {
    int64_t channels, height, width;
    int64_t plane() const { return height * width; }
    int64_t size() const { return channels * plane(); }
};

inline Byte cut(float level) { return static_cast<Byte>(static_cast<int32_t>(std::min(std::max(level, 0.f), 255.f))); }

inline int32_t luma(int32_t red, int32_t green, int32_t blue) {
    return (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
}

// Source row of one output row, where each pixel's column and row are whole numbers of type Whole.
template <class Whole>
void warp_row(const Byte* in, Byte* out, const Shape& s, const int64_t* m, int64_t at, const Byte* fill, int32_t* from) {
    const Whole a = static_cast<Whole>(m[0]), d = static_cast<Whole>(m[3]);
    const Whole x0 = static_cast<Whole>(m[1] * at + m[2]), y0 = static_cast<Whole>(m[4] * at + m[5]);
    const Whole width = static_cast<Whole>(s.width), height = static_cast<Whole>(s.height);
    for (Whole j = 0; j < width; ++j) {
        const Whole x = (x0 + a * j) >> 16, y = (y0 + d * j) >> 16;
        const bool inside = (x >= 0) & (x < width) & (y >= 0) & (y < height);
        from[j] = inside ? static_cast<int32_t>(y * width + x) : -1;
    }
    for (int64_t c = 0; c < s.channels; ++c) {
        const Byte* __restrict plane = in + c * s.plane();
        Byte* __restrict row = out + c * s.plane() + at * s.width;
        const Byte outside = fill[c];
        for (Whole j = 0; j < width; ++j) row[j] = from[j] < 0 ? outside : plane[from[j]];
    }
}

// m: (a, b, c, d, e, f) in fixed point with 16 digits; x = a j + b i + c, y = d j + e i + f.
void warp(const Byte* in, Byte* out, const Shape& s, const int64_t* m, const Byte* fill, int32_t* from) {
    bool small = true;
    for (int axis = 0; axis < 2; ++axis) {
        double reach = std::fabs(double(m[3 * axis])) * s.width + std::fabs(double(m[3 * axis + 1])) * s.height;
        small = small && reach + std::fabs(double(m[3 * axis + 2])) < 2147400000.0;
    }
    const bool along_rows = m[3] == 0 && (m[0] == 65536 || m[0] == -65536);
    for (int64_t i = 0; i < s.height; ++i) {
        if (!along_rows || !small) {
            if (small) warp_row<int32_t>(in, out, s, m, i, fill, from);
            else warp_row<int64_t>(in, out, s, m, i, fill, from);
            continue;
        }
        // A whole row comes from a part of one row, perhaps backwards: (x0 + a j) >> 16 is (x0 >> 16) +- j.
        const int64_t x = (m[1] * i + m[2]) >> 16, y = (m[4] * i + m[5]) >> 16;
        const bool forwards = m[0] > 0;
        int64_t first = forwards ? -x : x - s.width + 1, last = forwards ? s.width - x : x + 1;
        first = std::min(std::max<int64_t>(first, 0), s.width), last = std::max(std::min(last, s.width), first);
        if (y < 0 || y >= s.height) first = last = s.width;
        for (int64_t c = 0; c < s.channels; ++c) {
            Byte* row = out + c * s.plane() + i * s.width;
            const Byte* source = in + c * s.plane() + y * s.width + x;
            std::memset(row, fill[c], first);
            if (last > first) {
                if (forwards) std::memcpy(row + first, source + first, last - first);
                else for (int64_t j = first; j < last; ++j) row[j] = *(source - j);
            }
            std::memset(row + last, fill[c], s.width - last);
        }
    }
}

void scale(Byte* pixels, int64_t count, float middle, float factor) {
    for (int64_t i = 0; i < count; ++i) pixels[i] = cut((pixels[i] - middle) * factor + middle);
}

void contrast(Byte* image, const Shape& s, float factor) {
    const int64_t n = s.plane();
    int64_t total = 0;
    if (s.channels == 3) for (int64_t i = 0; i < n; ++i) total += luma(image[i], image[n + i], image[2 * n + i]);
    else for (int64_t i = 0; i < n; ++i) total += image[i];
    scale(image, s.size(), static_cast<float>(std::floor(double(total) / double(n) + 0.5)), factor);
}

void color(Byte* image, int64_t n, float factor) {
    Byte *red = image, *green = image + n, *blue = image + 2 * n;
    for (int64_t i = 0; i < n; ++i) {
        const float plain = static_cast<float>(luma(red[i], green[i], blue[i]));
        red[i] = cut((red[i] - plain) * factor + plain);
        green[i] = cut((green[i] - plain) * factor + plain);
        blue[i] = cut((blue[i] - plain) * factor + plain);
    }
}

// Sharpens `count` pixels of a plane's rows laid end to end, so that narrow images make long loops too.
void sharpen(const Byte* __restrict in, Byte* __restrict out, int64_t count, int64_t width, float factor) {
    const float thirteenth = static_cast<float>(1.0 / 13);
    const Byte *__restrict above = in - width, *__restrict below = in + width;
    for (int64_t j = 0; j < count; ++j) {
        const uint16_t sum = static_cast<uint16_t>(above[j - 1] + above[j] + above[j + 1] + in[j - 1] + 5 * in[j] +
                                                   in[j + 1] + below[j - 1] + below[j] + below[j + 1]);
        const float smooth = static_cast<float>(static_cast<int32_t>((sum + 6.5f) * thirteenth));
        out[j] = cut((in[j] - smooth) * factor + smooth);
    }
}

void sharpness(const Byte* in, Byte* out, const Shape& s, float factor) {
    const int64_t width = s.width, height = s.height, n = s.plane();
    for (int64_t c = 0; c < s.channels; ++c, in += n, out += n) {
        std::memcpy(out, in, width);
        std::memcpy(out + n - width, in + n - width, width);
        sharpen(in + width + 1, out + width + 1, n - 2 * width - 2, width, factor);
        // Where one row meets the next the sums were of both.
        for (int64_t i = 1; i < height - 1; ++i) {
            out[i * width] = in[i * width];
            out[(i + 1) * width - 1] = in[(i + 1) * width - 1];
        }
    }
}

void count_levels(const Byte* pixels, int64_t n, int64_t* counts) {
    // Four tables: neighbours are often alike, and each addition to the same place would wait for the one before.
    std::vector<int64_t> four(4 * 256);
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) for (int k = 0; k < 4; ++k) ++four[256 * k + pixels[i + k]];
    for (; i < n; ++i) ++four[pixels[i]];
    for (int level = 0; level < 256; ++level)
        counts[level] = four[level] + four[256 + level] + four[512 + level] + four[768 + level];
}

// Fills `table` with the level that each becomes, for autocontrast or equalize.
void stretch(const int64_t* counts, int64_t n, bool equal, float* table) {
    int low = 0, high = 255;
    while (!counts[low]) ++low;
    while (!counts[high]) --high;
    if (!equal) {
        const double by = low == high ? 1 : 255.0 / (double(high) - double(low));
        const double offset = low == high ? 0 : low * by;
        for (int level = 0; level < 256; ++level)
            table[level] = static_cast<float>(std::floor(std::min(std::max(level * by - offset, 0.0), 255.0)));
        return;
    }
    const int64_t step = (n - counts[high]) / 255;
    int64_t before = step / 2;
    for (int level = 0; level < 256; ++level) {
        table[level] = step ? static_cast<float>(std::min<int64_t>(before / step, 255)) : static_cast<float>(level);
        before += counts[level];
    }
}

void level_by_histogram(Byte* image, const Shape& s, bool equal, float share) {
    const int64_t n = s.plane();
    int64_t counts[256];
    float table[256];
    Byte levels[256];
    for (int64_t c = 0; c < s.channels; ++c) {
        Byte* plane = image + c * n;
        count_levels(plane, n, counts);
        stretch(counts, n, equal, table);
        for (int k = 0; k < 256; ++k) levels[k] = static_cast<Byte>(((table[k] - k) * share + k) + 0.5f);
        for (int64_t i = 0; i < n; ++i) plane[i] = levels[plane[i]];
    }
}

void solarize(Byte* image, int64_t count, float value) {
    const float lowest = std::ceil(256.f - value);
    if (!(lowest < 256.f)) return;
    const Byte least = static_cast<Byte>(std::min(std::max(lowest, 0.f), 255.f));
    for (int64_t i = 0; i < count; ++i) image[i] = image[i] >= least ? 255 - image[i] : image[i];
}

void cutout(Byte* image, const Shape& s, float value, const float* draws) {
    const Byte colour[3] = {125, 122, 113};
    const float half = std::floor(value * static_cast<float>(std::max(s.height, s.width) / 2.0) + 1e-4f);
    const float x = std::floor(draws[0] * static_cast<float>(s.width));
    const float y = std::floor(draws[1] * static_cast<float>(s.height));
    for (int64_t i = 0; i < s.height; ++i) {
        if (!(float(i) >= y - half && float(i) < y + half)) continue;
        for (int64_t j = 0; j < s.width; ++j)
            if (float(j) >= x - half && float(j) < x + half)
                for (int64_t c = 0; c < s.channels; ++c)
                    image[c * s.plane() + i * s.width + j] = s.channels == 3 ? colour[c] : 0;
    }
}

struct Work {
    const Byte* images;
    Byte* out;
    const int64_t* rows;
    Shape shape;
    int64_t slots;
    const int32_t* steps;
    const float *values, *draws;
    const int64_t* maps;
    const Byte* fill;
};

void in_place(Byte* image, const Shape& s, int32_t step, float value, const float* draws) {
    const int64_t size = s.size();  // bytes may alias a shape, so that it would be read again for each of them
    switch (step) {
        case BRIGHTNESS: scale(image, size, 0.f, value + 1.f); break;
        case CONTRAST: contrast(image, s, value + 1.f); break;
        case COLOR: color(image, s.plane(), value + 1.f); break;
        case POSTERIZE: {
            const int removed = static_cast<int>(std::min(std::max(value + 0.5f, 0.f), 8.f));
            const Byte kept = static_cast<Byte>((255 >> removed) << removed);
            for (int64_t i = 0; i < size; ++i) image[i] &= kept;
            break;
        }
        case SOLARIZE: solarize(image, size, value); break;
        case AUTOCONTRAST: case EQUALIZE: level_by_histogram(image, s, step == EQUALIZE, value); break;
        case INVERT: for (int64_t i = 0; i < size; ++i) image[i] = 255 - image[i]; break;
        case CUTOUT: cutout(image, s, value, draws); break;
    }
}

void run(const Work& work, int64_t begin, int64_t end) {
    const Shape& s = work.shape;
    std::vector<Byte> spare(s.size());
    std::vector<int32_t> from(s.width);
    for (int64_t k = begin; k < end; ++k) {
        const int64_t row = work.rows[k];
        Byte *out = work.out + row * s.size(), *other = spare.data();
        const Byte* seen = work.images + row * s.size();
        const Byte* original = seen;
        for (int64_t slot = row * work.slots; slot < (row + 1) * work.slots; ++slot) {
            const int32_t step = work.steps[slot];
            const float value = work.values[slot];
            if (step == NONE || (step == COLOR && s.channels != 3) || (step == INVERT && !(value > 0))) continue;
            if (step == SHARPNESS && (s.height < 3 || s.width < 3)) continue;
            Byte* target = seen == out ? other : out;
            if (step == WARP) warp(seen, target, s, work.maps + 6 * slot, work.fill, from.data());
            else if (step == SHARPNESS) sharpness(seen, target, s, value + 1.f);
            else {
                if (seen == original) std::memcpy(out, seen, s.size());
                target = seen == other ? other : out;
                in_place(target, s, step, value, work.draws + 2 * slot);
            }
            seen = target;
        }
        if (seen != out) std::memcpy(out, seen, s.size());
    }
}

}  // namespace

// images, out: [B, C, H, W]; rows: [n], those to do; steps, values: [B, S]; draws: [B, S, 2]; maps: [B, S, 6].
extern "C" void rolewise_apply(const Byte* images, Byte* out, const int64_t* rows, int64_t count, int64_t channels,
                               int64_t height, int64_t width, int64_t slots, const int32_t* steps, const float* values,
                               const float* draws, const int64_t* maps, const Byte* fill, int64_t threads) {
    const Work work{images, out, rows, {channels, height, width}, slots, steps, values, draws, maps, fill};
    // A thread is worth its start from some hundred kilobytes up.
    const int64_t parts = std::max<int64_t>(1, std::min(threads, count * work.shape.size() >> 18));
    std::vector<std::thread> others;
    for (int64_t part = 1; part < parts; ++part)
        others.emplace_back(run, std::cref(work), count * part / parts, count * (part + 1) / parts);
    run(work, 0, count / parts);
    for (auto& thread : others) thread.join();
}
