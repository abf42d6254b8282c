// Bytes that came from somewhere else, checked before they are read.
//
//   BROOD_ASSIGN_OR_RETURN(const fbs::Result* result, Verified<fbs::Result>(bytes, fbs::ResultIdentifier(), "result"));
#ifndef BROOD_SERIALIZATION_VERIFY_H_
#define BROOD_SERIALIZATION_VERIFY_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "flatbuffers/flatbuffers.h"

namespace brood {

// A copy of bytes that may lie anywhere, aligned as Verified wants it. Bound their size first.
class AlignedBytes {
 public:
  explicit AlignedBytes(std::string_view bytes) : words_((bytes.size() + 7) / 8), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<char*>(words_.data()));
  }
  std::string_view view() const { return {reinterpret_cast<const char*>(words_.data()), size_}; }

 private:
  std::vector<uint64_t> words_;
  size_t size_;
};

// The FlatBuffer of root type `Root` in `bytes`, which it borrows. They must be aligned to 8, as memory from new is.
//
// Errors: DataLoss (not a buffer of that type, or one that is nested too deep or points outside of itself).
template <typename Root>
absl::StatusOr<const Root*> Verified(std::string_view bytes, const char* identifier, std::string_view what) {
  constexpr flatbuffers::uoffset_t kMaxDepth = 64;
  constexpr flatbuffers::uoffset_t kMaxTables = 1'000'000;
  const auto* const data = reinterpret_cast<const uint8_t*>(bytes.data());
  if (reinterpret_cast<uintptr_t>(data) % 8 != 0) return absl::InternalError(absl::StrCat(what, ": misaligned buffer"));
  flatbuffers::Verifier verifier(data, bytes.size(), kMaxDepth, kMaxTables);
  if (!verifier.VerifyBuffer<Root>(identifier)) {
    return absl::DataLossError(absl::StrCat(what, ": the ", bytes.size(), " bytes are not well formed"));
  }
  return flatbuffers::GetRoot<Root>(data);
}

// True if the elements of a vector lie where their type may lie, or there are none. To be asked for elements larger than
// four bytes: the verifier of FlatBuffers checks only that the vector's length does.
template <typename T>
bool IsAligned(const flatbuffers::Vector<T>* vector) {
  return vector == nullptr || vector->size() == 0 || reinterpret_cast<uintptr_t>(vector->Data()) % alignof(T) == 0;
}

// A string of a buffer; empty if absent. Borrowed from the buffer.
inline std::string_view View(const flatbuffers::String* text) {
  return text == nullptr ? std::string_view() : std::string_view(text->data(), text->size());
}

// As above, for bytes.
inline std::string_view View(const flatbuffers::Vector<uint8_t>* bytes) {
  return bytes == nullptr ? std::string_view()
                          : std::string_view(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

}  // namespace brood

#endif  // BROOD_SERIALIZATION_VERIFY_H_
