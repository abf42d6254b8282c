// The bytes below the codec: fixed-width little-endian numbers and counted strings, with every read in bounds.
#ifndef BROOD_SERIALIZATION_WIRE_H_
#define BROOD_SERIALIZATION_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace brood {

class WireWriter {
 public:
  template <typename T>
  void Number(T value) {
    static_assert(std::is_arithmetic_v<T>);
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Count(size_t count) { Number(static_cast<uint64_t>(count)); }
  void Raw(const void* data, size_t size) {
    if (size > 0) bytes_.append(static_cast<const char*>(data), size);
  }
  std::string Take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

// After the first error every read fails; status() says what was wrong first.
class WireReader {
 public:
  explicit WireReader(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  bool Number(T& value) {
    static_assert(std::is_arithmetic_v<T> && !std::is_same_v<T, bool>);
    if (rest_.size() < sizeof(value)) return Fail("ends too early");
    std::memcpy(&value, rest_.data(), sizeof(value));
    rest_.remove_prefix(sizeof(value));
    return true;
  }

  // How many elements follow. A count that cannot be true, because each takes `min_bytes`, fails here, before anybody
  // allocates for it.
  bool Count(size_t min_bytes, size_t& count) {
    uint64_t value = 0;
    if (!Number(value)) return false;
    if (value > rest_.size() / min_bytes) {
      return Fail(absl::StrCat("announces ", value, " elements in ", rest_.size(), " bytes"));
    }
    count = static_cast<size_t>(value);
    return true;
  }

  // The next `size` bytes, borrowed.
  bool Raw(size_t size, std::string_view& bytes) {
    if (size > rest_.size()) return Fail("ends too early");
    bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

  // Around each nested value: bounds the recursion of types that contain themselves.
  bool Enter() { return ++depth_ <= kMaxDepth || Fail("is nested too deep"); }
  void Leave() { --depth_; }

  bool Fail(std::string_view why) {
    if (status_.ok()) status_ = absl::DataLossError(why);
    rest_ = {};
    return false;
  }

  bool AtEnd() const { return rest_.empty(); }
  const absl::Status& status() const { return status_; }

 private:
  static constexpr int kMaxDepth = 200;
  std::string_view rest_;
  int depth_ = 0;
  absl::Status status_;
};

}  // namespace brood

#endif  // BROOD_SERIALIZATION_WIRE_H_
