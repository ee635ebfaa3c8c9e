// Reads where a word is from the pages of SQLite's full text (FTS5): the leaves of one segment, as fts5_index.c describes them.
//
// A page: the offset of its first rowid if that belongs to a word of the page before, else 0 (16 bits); the offset of its
// footer (16 bits); words, each with its rows; the footer, with the distances between the words. A row: its number, a
// difference except for the first of a word or of a page; twice the bytes of its positions, plus one if it was deleted; the
// positions, each as its difference plus two.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace jnlp {

// Bytes that are read from the first to the last; past the end there are zeros, and `whole` becomes false.
class Bytes {
   public:
    Bytes(const uint8_t* data, int64_t at, int64_t end) : data_(data), at_(at), end_(end), whole(at <= end) {}

    int64_t at() const { return at_; }
    bool more() const { return at_ < end_; }
    int64_t left() const { return end_ - at_; }

    // Read an integer of SQLite: groups of seven bits, the first the highest; the ninth byte has eight.
    uint64_t integer() {
        if (at_ < end_ && data_[at_] < 128) return data_[at_++];  // nearly always
        return long_integer();
    }

    // Return the next bytes, or null if there are not so many.
    const uint8_t* take(uint64_t count) {
        if (count > static_cast<uint64_t>(end_ - at_)) {
            whole = false;
            return nullptr;
        }
        const uint8_t* found = data_ + at_;
        at_ += static_cast<int64_t>(count);
        return found;
    }

   private:
    uint64_t long_integer() {
        uint64_t value = 0;
        for (int place = 0; place < 9; ++place) {
            if (at_ >= end_) {
                whole = false;
                return 0;
            }
            const uint8_t byte = data_[at_++];
            if (place == 8) return value << 8 | byte;
            value = value << 7 | (byte & 127);
            if (byte < 128) break;
        }
        return value;
    }

    const uint8_t* data_;
    int64_t at_, end_;

   public:
    bool whole;
};

// A page of a segment.
struct Page {
    static constexpr int64_t HEADER = 4;

    const uint8_t* data = nullptr;
    int64_t size = 0, first_row = 0, footer = 0, first_word = 0;  // offsets; 0: there is none

    bool read(const uint8_t* bytes, int64_t length) {
        if (length < HEADER) return false;
        data = bytes, size = length;
        first_row = bytes[0] << 8 | bytes[1];
        footer = bytes[2] << 8 | bytes[3];
        if (footer < HEADER || footer > size || first_row > footer) return false;
        Bytes rest(data, footer, size);
        first_word = rest.more() ? static_cast<int64_t>(rest.integer() & 0xFFFF) : 0;
        return rest.whole && first_word <= footer;
    }

    // Find a word: where its rows begin and end on this page. Return 1; 0 if it is not here, -1 if the page is damaged.
    int find(const uint8_t* word, int64_t length, int64_t& begin, int64_t& end) const {
        if (first_word == 0) return 0;
        Bytes distances(data, footer, size);
        int64_t at = 0, matched = 0;  // bytes of the word that the last one on the page began with
        bool first = true;
        while (distances.more()) {
            at += static_cast<int64_t>(distances.integer() & 0xFFFF);
            if (!distances.whole || at < HEADER || at >= footer) return -1;
            Bytes here(data, at, footer);
            const int64_t kept = first ? 0 : static_cast<int64_t>(here.integer());
            const int64_t count = static_cast<int64_t>(here.integer());
            const uint8_t* bytes = here.take(static_cast<uint64_t>(count));
            if (!here.whole || kept < 0) return -1;
            first = false;
            if (kept > matched) continue;  // it differs from the word where the last one did
            int64_t same = 0;
            while (same < count && kept + same < length && bytes[same] == word[kept + same]) ++same;
            matched = kept + same;
            if (matched != length || same != count) continue;
            begin = here.at();
            end = footer;
            if (distances.more()) end = at + static_cast<int64_t>(distances.integer() & 0xFFFF);
            return distances.whole && begin <= end && end <= footer ? 1 : -1;
        }
        return 0;
    }
};

// What was read.
struct Found {
    int64_t rows = 0, positions = 0, last_number = 0, last_position = 0;  // the greatest number and position
    int64_t plain = 1;  // 1: numbers ascend through all segments, and no row was deleted
};

// Writes the numbers of rows, where the positions of each begin and the last end, and the positions.
template <class Number, class Position>
class Writer {
   public:
    Writer(Found& found, Number* numbers, Number* starts, Position* positions)
        : found_(found), numbers_(numbers), starts_(starts), positions_(positions) {}

    void row(int64_t number) {
        if (found_.rows && (number <= found_.last_number || found_.positions == begun_)) found_.plain = 0;
        found_.last_number = std::max(found_.last_number, number);
        begun_ = found_.positions;
        numbers_[found_.rows] = static_cast<Number>(number);
        starts_[found_.rows++] = static_cast<Number>(begun_);
    }

    // Write the positions up to an offset, from the last one of the row on.
    bool positions(Bytes& here, int64_t end, int64_t& last) {
        Position* to = positions_ + found_.positions;
        int64_t place = last;
        bool good = true;
        while (here.at() < end) {
            const uint64_t value = here.integer();
            good &= value >= 2 && value <= INT32_MAX;  // 1 begins another column: there is one only
            place += static_cast<int64_t>(value & INT32_MAX) - 2;
            *to++ = static_cast<Position>(place);
        }
        found_.positions = to - positions_;
        found_.last_position = std::max(found_.last_position, place);
        last = place;
        return good && here.whole && here.at() == end;
    }

    void end() {
        if (found_.rows && found_.positions == begun_) found_.plain = 0;
        starts_[found_.rows] = static_cast<Number>(found_.positions);
    }

   private:
    Found& found_;
    Number* numbers_;
    Number* starts_;
    Position* positions_;
    int64_t begun_ = 0;  // positions before the last row's
};

// The rows of a word in one segment.
template <class Sink>
class Rows {
   public:
    explicit Rows(Sink& sink) : sink_(sink) {}

    bool whole() const { return left_ == 0; }

    // Read the positions that are here of the last row.
    bool read_positions(Bytes& here) {
        const int64_t size = std::min(left_, here.left());
        left_ -= size;
        return sink_.positions(here, here.at() + size, last_);
    }

    // Read the rows of a part of a page; the first one's number is not a difference.
    bool read(const uint8_t* data, int64_t begin, int64_t end) {
        Bytes here(data, begin, end);
        bool first = true;
        while (here.more()) {
            if (left_ != 0) return false;
            const int64_t number = static_cast<int64_t>(here.integer()) + (first ? 0 : number_);
            const uint64_t size = here.integer();
            if (!here.whole || size > INT32_MAX || number <= number_) return false;
            first = false;
            number_ = number;
            left_ = static_cast<int64_t>(size >> 1);
            last_ = 0;
            sink_.row(number);
            if (!read_positions(here)) return false;
        }
        return true;
    }

   private:
    Sink& sink_;
    int64_t number_ = -1;
    int64_t left_ = 0;  // bytes of positions of the last row that are on the next page
    int64_t last_ = 0;  // its last position
};

// The pages of some segments, each with consecutive ones, from the one that the word can begin on.
struct Pages {
    const uint8_t* data;
    const int64_t* starts;        // [pages + 1], where each begins
    const int64_t* first;         // [segments + 1], its first page
    const int32_t* last_is_here;  // [segments], 1 if its last page is among them
    int64_t segments;
};

enum State { DAMAGED = -1, WHOLE = 0, GOES_ON = 1 };

// Read a word's rows of one segment.
template <class Sink>
State read_segment(const Pages& pages, int64_t segment, const uint8_t* word, int64_t length, Sink& sink) {
    Page page;
    int64_t begin = 0, end = 0, number = pages.first[segment];
    const int64_t after = pages.first[segment + 1];
    const auto open = [&] { return page.read(pages.data + pages.starts[number], pages.starts[number + 1] - pages.starts[number]); };
    if (number >= after || !open()) return DAMAGED;
    const int found = page.find(word, length, begin, end);
    if (found < 1) return found ? DAMAGED : WHOLE;
    Rows<Sink> rows(sink);
    if (!rows.read(page.data, begin, end)) return DAMAGED;
    if (end < page.footer) return rows.whole() ? WHOLE : DAMAGED;  // another word follows
    while (++number < after) {
        if (!open()) return DAMAGED;
        end = page.first_word ? page.first_word : page.footer;
        begin = page.first_row && page.first_row < end ? page.first_row : end;
        Bytes rest(page.data, Page::HEADER, begin);
        if (!rows.read_positions(rest) || rest.more()) return DAMAGED;
        if (begin < end && !rows.read(page.data, begin, end)) return DAMAGED;
        if (page.first_word) return rows.whole() ? WHOLE : DAMAGED;
    }
    if (!pages.last_is_here[segment]) return GOES_ON;
    return rows.whole() ? WHOLE : DAMAGED;
}

// Read a word's rows of all segments, and mark those whose next pages are needed. Return DAMAGED if one is damaged, or
// GOES_ON. There is room for half as many rows as bytes, and one start more, and for as many positions as bytes.
template <class Number, class Position>
State read_postings(const Pages& pages, const uint8_t* word, int64_t length, Number* numbers, Number* starts,
                    Position* positions, int32_t* more, Found& found) {
    State state = WHOLE;
    Writer<Number, Position> writer(found, numbers, starts, positions);
    for (int64_t segment = 0; segment < pages.segments; ++segment) {
        const State own = read_segment(pages, segment, word, length, writer);
        if (own == DAMAGED) return DAMAGED;
        more[segment] = own == GOES_ON;
        if (own == GOES_ON) state = GOES_ON;
    }
    writer.end();
    return state;
}

// Count how often a word is in some passages; both ascend. `found`: [count].
template <class Number>
void counts_in(const Number* numbers, const Number* starts, int64_t rows, const int64_t* wanted, int64_t count, int32_t* found) {
    int64_t at = 0;
    for (int64_t one = 0; one < count; ++one) {
        const int64_t number = wanted[one];
        int64_t step = 1;  // the next one is near: look twice as far each time, then between
        while (at + step < rows && numbers[at + step] < number) step *= 2;
        at = std::lower_bound(numbers + at, numbers + std::min(at + step + 1, rows), number) - numbers;
        found[one] = at < rows && numbers[at] == number ? static_cast<int32_t>(starts[at + 1] - starts[at]) : 0;
    }
}

}  // namespace jnlp
