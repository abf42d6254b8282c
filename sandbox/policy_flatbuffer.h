// Policies as bytes: the wire form, and what a policy file becomes when its JSON is converted by its schema,
// serialization/policy.fbs. The one place where the two forms meet.
//
//   const std::string bytes = EncodePolicy(policy);
//   BROOD_ASSIGN_OR_RETURN(const Policy same, DecodePolicy(bytes));
//
// Functions may be called from any thread.
#ifndef BROOD_SANDBOX_POLICY_FLATBUFFER_H_
#define BROOD_SANDBOX_POLICY_FLATBUFFER_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "flatbuffers/flatbuffers.h"
#include "sandbox/policy.h"

namespace brood {

namespace fbs {
struct Limits;
}  // namespace fbs

// Larger ones are refused before they are looked at.
inline constexpr size_t kMaxPolicyBytes = size_t{4} << 20;

// The whole policy, nothing left to `extends`. Of several file rules for one destination only the last is kept.
std::string EncodePolicy(const Policy& policy);

// Verifies the bytes, then reads them: the built-in named by `extends`, if any, with the rules of the bytes on top. A
// nearer rule replaces the base's rule for that path or system call.
//
// Errors: InvalidArgument naming the field (not a policy, an unknown word, a malformed size, two rules for one thing),
//   NotFound (`extends` names no built-in policy).
absl::StatusOr<Policy> DecodePolicy(std::string_view bytes);

// The limits of a policy or of a job, a table in a larger buffer that was verified. Sets those in `to` that are given.
//
// Errors: what `error` makes of the field ("memory") and of what is wrong with it.
using FieldError = absl::Status (*)(std::string_view field, std::string_view problem);
absl::Status DecodeLimits(const fbs::Limits* from, FieldError error, Limits& to);
flatbuffers::Offset<fbs::Limits> EncodeLimits(flatbuffers::FlatBufferBuilder& builder, const Limits& limits);

}  // namespace brood

#endif  // BROOD_SANDBOX_POLICY_FLATBUFFER_H_
