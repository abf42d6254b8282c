// The bytes below the codec: fixed-width little-endian numbers and counted strings, with every read in bounds.
//
// A value that refers to descriptors (a connection, a lock) hands them to the writer and finds them at the reader: the
// bytes hold their place in a list that travels beside the bytes, as SCM_RIGHTS or by inheritance.
//   static void Encode(const Lock& lock, WireWriter& to) { to.Handle(lock.DuplicateDescriptor()); }
//   static bool Decode(WireReader& from, Lock& lock) { UniqueFd fd; return from.Handle(fd) && lock.Attach(std::move(fd)); }
#ifndef BROOD_SERIALIZATION_WIRE_H_
#define BROOD_SERIALIZATION_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "base/unique_fd.h"

namespace brood {

// Descriptors on their way. Shared, so that packed values can be copied; each decoding takes duplicates.
using WireHandles = std::vector<std::shared_ptr<const UniqueFd>>;

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
  // Takes a descriptor that the value refers to. An invalid one (a duplicate that could not be made) is found by whoever
  // sends the value.
  void Handle(UniqueFd handle) {
    Number(static_cast<uint32_t>(handles_.size()));
    handles_.push_back(std::make_shared<const UniqueFd>(std::move(handle)));
  }
  // What has been written so far, and changes of it: for those who write many values into one buffer.
  size_t size() const { return bytes_.size(); }
  std::string_view bytes() const { return bytes_; }
  void Truncate(size_t size) { bytes_.resize(size); }
  void Overwrite(size_t at, uint32_t value) { std::memcpy(bytes_.data() + at, &value, sizeof(value)); }

  std::string Take() { return std::move(bytes_); }
  WireHandles TakeHandles() { return std::move(handles_); }

 private:
  std::string bytes_;
  WireHandles handles_;
};

// After the first error every read fails; status() says what was wrong first.
class WireReader {
 public:
  // Both are borrowed; null: the value comes without handles.
  explicit WireReader(std::string_view bytes, const WireHandles* handles = nullptr) : rest_(bytes), handles_(handles) {}

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

  // A duplicate of the descriptor that stands here, close-on-exec.
  bool Handle(UniqueFd& handle) {
    uint32_t index = 0;
    if (!Number(index)) return false;
    if (handles_ == nullptr || index >= handles_->size()) return Fail("refers to a handle that did not come with it");
    handle = Duplicate((*handles_)[index]->get());
    return handle.valid() || Fail("has a handle that cannot be duplicated (see the limit of open files)");
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
  const WireHandles* handles_;
  int depth_ = 0;
  absl::Status status_;
};

}  // namespace brood

#endif  // BROOD_SERIALIZATION_WIRE_H_
