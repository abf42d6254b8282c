// The words of policy files, each list in one place, and the schema. For the two halves of policy_flatbuffer.h alone.
#ifndef BROOD_SANDBOX_POLICY_WORDS_H_
#define BROOD_SANDBOX_POLICY_WORDS_H_

#include <cerrno>
#include <string_view>

#include "flatbuffers/flatbuffers.h"
#include "sandbox/policy.h"

// A field of the schema is called `errno`, as in the JSON, and so is its accessor; the C library has a macro of that
// name. Nothing that includes this file needs the macro.
#undef errno
#include "serialization/policy_generated.h"

namespace brood {
namespace internal {

template <typename T>
struct Word {
  std::string_view text;
  T value;
};

inline constexpr Word<FileRule::Access> kAccessWords[] = {{"ro", FileRule::Access::kReadOnly},
                                                          {"rw", FileRule::Access::kReadWrite},
                                                          {"device", FileRule::Access::kDevice}};

inline constexpr Word<NetworkMode> kNetworkWords[] = {{"none", NetworkMode::kNone},
                                                      {"loopback", NetworkMode::kLoopback},
                                                      {"host", NetworkMode::kHost},
                                                      {"allow", NetworkMode::kAllow}};

inline constexpr Word<ArgumentRule::Op> kOpWords[] = {
    {"==", ArgumentRule::Op::kEqual},       {"!=", ArgumentRule::Op::kNotEqual},
    {"<", ArgumentRule::Op::kLess},         {"<=", ArgumentRule::Op::kLessOrEqual},
    {">", ArgumentRule::Op::kGreater},      {">=", ArgumentRule::Op::kGreaterOrEqual},
    {"&==", ArgumentRule::Op::kMaskedEqual}};

inline constexpr Word<SyscallAction> kActionWords[] = {{"allow", SyscallAction::kAllow},
                                                       {"errno", SyscallAction::kErrno},
                                                       {"kill", SyscallAction::kKill},
                                                       {"log", SyscallAction::kLog},
                                                       {"notify", SyscallAction::kNotify}};

inline constexpr Word<LandlockUse> kLandlockWords[] = {
    {"none", LandlockUse::kNone}, {"available", LandlockUse::kAvailable}, {"required", LandlockUse::kRequired}};

inline constexpr Word<SpeculationControl> kSpeculationWords[] = {{"allow", SpeculationControl::kAllow},
                                                                {"kernel", SpeculationControl::kKernel},
                                                                {"mitigate", SpeculationControl::kMitigate}};

inline constexpr Word<ProcAccess> kProcWords[] = {{"ro", ProcAccess::kReadOnly}, {"rw", ProcAccess::kReadWrite}};

inline constexpr Word<EnvironmentBase> kEnvironmentWords[] = {
    {"minimal", EnvironmentBase::kMinimal}, {"inherit", EnvironmentBase::kInherit}, {"empty", EnvironmentBase::kEmpty}};

}  // namespace internal
}  // namespace brood

#endif  // BROOD_SANDBOX_POLICY_WORDS_H_
