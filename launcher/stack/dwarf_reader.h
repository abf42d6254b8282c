// Numbers as DWARF writes them, from bytes that may be anything: after an error all that is read is 0.
#ifndef BROOD_LAUNCHER_STACK_DWARF_READER_H_
#define BROOD_LAUNCHER_STACK_DWARF_READER_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace brood {

class DwarfReader {
 public:
  // Reads bytes[begin, end) of a section that the file wants at `section_address`.
  DwarfReader(std::string_view bytes, size_t begin, size_t end, uint64_t section_address)
      : bytes_(bytes), at_(begin), end_(end <= bytes.size() ? end : bytes.size()), section_address_(section_address) {
    if (at_ > end_) Fail();
  }

  bool ok() const { return ok_; }
  bool done() const { return !ok_ || at_ >= end_; }
  size_t at() const { return at_; }
  size_t end() const { return end_; }

  template <typename T>
  T Number() {
    T value{};
    if (!ok_ || end_ - at_ < sizeof(T)) {
      Fail();
      return value;
    }
    memcpy(&value, bytes_.data() + at_, sizeof(T));
    at_ += sizeof(T);
    return value;
  }

  uint64_t Unsigned() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const auto byte = Number<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if ((byte & 0x80) == 0) return value;
    }
    Fail();
    return 0;
  }

  int64_t Signed() {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64;) {
      const auto byte = Number<uint8_t>();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if (shift < 64 && (byte & 0x40) != 0) value |= ~uint64_t{0} << shift;
      return static_cast<int64_t>(value);
    }
    Fail();
    return 0;
  }

  void Skip(uint64_t count) {
    if (!ok_ || count > end_ - at_) return Fail();
    at_ += count;
  }

  std::string_view Text() {
    const size_t zero = bytes_.substr(0, end_).find('\0', at_);
    if (!ok_ || zero == std::string_view::npos) {
      Fail();
      return {};
    }
    const std::string_view text = bytes_.substr(at_, zero - at_);
    at_ = zero + 1;
    return text;
  }

  // DW_EH_PE_*: the kind of number in the low half, what it is relative to in the high one.
  uint64_t Pointer(uint8_t encoding) {
    constexpr uint8_t kOmitted = 0xff, kRelativeToItself = 0x10;
    if (encoding == kOmitted) return 0;
    const uint64_t own_address = section_address_ + at_;
    uint64_t value = 0;
    switch (encoding & 0x0f) {
      case 0x00: case 0x04: case 0x0c: value = Number<uint64_t>(); break;
      case 0x01: value = Unsigned(); break;
      case 0x02: value = Number<uint16_t>(); break;
      case 0x03: value = Number<uint32_t>(); break;
      case 0x09: value = static_cast<uint64_t>(Signed()); break;
      case 0x0a: value = static_cast<uint64_t>(static_cast<int64_t>(Number<int16_t>())); break;
      case 0x0b: value = static_cast<uint64_t>(static_cast<int64_t>(Number<int32_t>())); break;
      default: Fail();
    }
    switch (encoding & 0x70) {
      case 0: return value;
      case kRelativeToItself: return value + own_address;
      default: Fail(); return 0;
    }
  }

  void Fail() {
    ok_ = false;
    at_ = end_;
  }

 private:
  std::string_view bytes_;
  size_t at_;
  size_t end_;
  uint64_t section_address_;
  bool ok_ = true;
};

}  // namespace brood

#endif  // BROOD_LAUNCHER_STACK_DWARF_READER_H_
