#include <map>

#include "absl/strings/cord.h"
#include "serialization/codec.h"

namespace brood {
namespace {

using Payloads = std::map<std::string, std::string>;

enum DurationKind : uint8_t { kFinite, kInfinite, kMinusInfinite };

constexpr int64_t kTicksPerSecond = 4'000'000'000;

absl::Duration Tick() { return absl::Nanoseconds(1) / 4; }

}  // namespace

void Codec<absl::Status>::Encode(const absl::Status& value, WireWriter& to) {
  Payloads payloads;
  value.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& payload) { payloads[std::string(url)] = std::string(payload); });
  to.Number(value.raw_code());
  Codec<std::string>::Encode(value.message(), to);
  Codec<Payloads>::Encode(payloads, to);
}

bool Codec<absl::Status>::Decode(WireReader& from, absl::Status& value) {
  int32_t code = 0;
  std::string message;
  Payloads payloads;
  if (!from.Number(code) || !Codec<std::string>::Decode(from, message) || !Codec<Payloads>::Decode(from, payloads)) {
    return false;
  }
  if (code == 0 && (!message.empty() || !payloads.empty())) return from.Fail("has an OK status with a message");
  value = absl::Status(static_cast<absl::StatusCode>(code), message);
  for (auto& [url, payload] : payloads) value.SetPayload(url, absl::Cord(payload));
  return true;
}

void Codec<absl::Duration>::Encode(absl::Duration value, WireWriter& to) {
  DurationKind kind = kFinite;
  int64_t seconds = 0;
  int64_t ticks = 0;
  if (value == absl::InfiniteDuration()) {
    kind = kInfinite;
  } else if (value == -absl::InfiniteDuration()) {
    kind = kMinusInfinite;
  } else {
    absl::Duration rest;
    seconds = absl::IDivDuration(value, absl::Seconds(1), &rest);
    ticks = absl::IDivDuration(rest, Tick(), &rest);
  }
  to.Number(static_cast<uint8_t>(kind));
  to.Number(seconds);
  to.Number(ticks);
}

bool Codec<absl::Duration>::Decode(WireReader& from, absl::Duration& value) {
  uint8_t kind = 0;
  int64_t seconds = 0;
  int64_t ticks = 0;
  if (!from.Number(kind) || !from.Number(seconds) || !from.Number(ticks)) return false;
  if (kind > kMinusInfinite || ticks <= -kTicksPerSecond || ticks >= kTicksPerSecond) {
    return from.Fail("has a malformed duration");
  }
  if (kind == kFinite) {
    value = absl::Seconds(seconds) + ticks * Tick();
  } else {
    value = kind == kInfinite ? absl::InfiniteDuration() : -absl::InfiniteDuration();
  }
  return true;
}

}  // namespace brood
