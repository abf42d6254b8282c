// The codec of absl::Status, StatusOr, Duration and Time. Included by codec.h; include that.
#ifndef BROOD_SERIALIZATION_CODEC_ABSL_H_
#define BROOD_SERIALIZATION_CODEC_ABSL_H_

#include "serialization/codec.h"

namespace brood {

template <>
struct Codec<absl::Status> {
  static constexpr size_t kMinBytes = 4 + 8 + 8;
  static void Describe(internal::Description& to) { to.Word("status"); }
  static void Encode(const absl::Status& value, WireWriter& to);
  static bool Decode(WireReader& from, absl::Status& value);
};

template <typename T>
struct Codec<absl::StatusOr<T>> {
  static constexpr size_t kMinBytes = 1;
  static void Describe(internal::Description& to) {
    to.Word("status_or<");
    to.Add<T>();
    to.Word(">");
  }
  static void Encode(const absl::StatusOr<T>& value, WireWriter& to) {
    Codec<bool>::Encode(value.ok(), to);
    if (value.ok()) {
      Codec<T>::Encode(*value, to);
    } else {
      Codec<absl::Status>::Encode(value.status(), to);
    }
  }
  static bool Decode(WireReader& from, absl::StatusOr<T>& value) {
    bool ok = false;
    if (!Codec<bool>::Decode(from, ok)) return false;
    if (ok) {
      T inner{};
      if (!internal::DecodeNested(from, inner)) return false;
      value = std::move(inner);
      return true;
    }
    absl::Status status;
    if (!Codec<absl::Status>::Decode(from, status)) return false;
    if (status.ok()) return from.Fail("has an error that is none");
    value = std::move(status);
    return true;
  }
};

// Exact: whole seconds, and the quarters of a nanosecond that Abseil counts in.
template <>
struct Codec<absl::Duration> {
  static constexpr size_t kMinBytes = 1 + 8 + 8;
  static void Describe(internal::Description& to) { to.Word("duration"); }
  static void Encode(absl::Duration value, WireWriter& to);
  static bool Decode(WireReader& from, absl::Duration& value);
};

template <>
struct Codec<absl::Time> {
  static constexpr size_t kMinBytes = Codec<absl::Duration>::kMinBytes;
  static void Describe(internal::Description& to) { to.Word("time"); }
  static void Encode(absl::Time value, WireWriter& to) { Codec<absl::Duration>::Encode(value - absl::UnixEpoch(), to); }
  static bool Decode(WireReader& from, absl::Time& value) {
    absl::Duration since_epoch;
    if (!Codec<absl::Duration>::Decode(from, since_epoch)) return false;
    value = absl::UnixEpoch() + since_epoch;
    return true;
  }
};

}  // namespace brood

#endif  // BROOD_SERIALIZATION_CODEC_ABSL_H_
