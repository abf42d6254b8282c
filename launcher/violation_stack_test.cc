// Stack traces of violations: right where the child is honest, harmless where it is not.
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "launcher/process.h"

namespace brood {
namespace {

enum class Trace { kNotAsked, kAsked };

std::string PathOf(const std::string& name) {
  char* path = realpath(absl::StrCat(getenv("TEST_SRCDIR"), "/", getenv("TEST_WORKSPACE"), "/tests/programs/", name).c_str(), nullptr);
  const std::string result = path != nullptr ? path : "";
  free(path);
  return result;
}

// Runs it at another place than it has outside, so that its file must be found by the policy.
Violation Break(const std::string& program, const std::vector<std::string>& args, Trace trace = Trace::kAsked) {
  Policy policy = BuiltinPolicy("strict").value();
  policy.files.push_back({.kind = FileRule::Kind::kBind, .source = PathOf(program), .destination = "/inside/program"});
  LaunchOptions options;
  options.argv = {"/inside/program"};
  options.argv.insert(options.argv.end(), args.begin(), args.end());
  options.policy = CompilePolicy(policy).value();
  options.violation_stack = trace == Trace::kAsked;
  options.stderr_spec = Stdio::Null();
  Process process = Process::Launch(options).value();
  const Outcome outcome = process.Join().value();
  const auto* violation = std::get_if<Violation>(&outcome.ending);
  EXPECT_NE(violation, nullptr) << outcome.ToString();
  return violation != nullptr ? *violation : Violation{};
}

std::string TextOf(const Violation& violation) {
  std::string text;
  for (const StackFrame& frame : violation.stack) absl::StrAppend(&text, frame.function, "+", frame.offset, " ", frame.file, "\n");
  return absl::StrCat(text, violation.stack_end);
}

// The functions stand one behind the other in the trace, from its beginning or after the C library's.
void ExpectInOrder(const Violation& violation, const std::vector<std::string>& names) {
  size_t at = 0;
  for (const StackFrame& frame : violation.stack) {
    if (at < names.size() && absl::StrContains(frame.function, names[at])) {
      EXPECT_EQ(frame.file, "/inside/program");
      ++at;
    } else {
      EXPECT_TRUE(at == 0 || at == names.size()) << frame.function << " in\n" << TextOf(violation);
    }
  }
  EXPECT_EQ(at, names.size()) << TextOf(violation);
}

TEST(ViolationStackTest, NamesTheNestedFunctionsOfACxxProgramInOrder) {
  const Violation violation = Break("calls_from_deep", {});
  EXPECT_EQ(violation.syscall, "reboot");
  ExpectInOrder(violation, {"deep::Innermost::Call(", "deep::Middle<int>(", "deep::Outer(int)", "main"});
  EXPECT_EQ(violation.stack[0].function, "syscall");
  EXPECT_TRUE(absl::StrContains(violation.stack[0].file, "/libc.so.6")) << TextOf(violation);
  EXPECT_EQ(violation.stack[0].address, violation.instruction_pointer);
  EXPECT_EQ(violation.stack.back().function, "_start");
  EXPECT_EQ(violation.stack_end, "outermost function");
}

TEST(ViolationStackTest, ThreadsHaveTheirOwn) {
  const Violation violation = Break("calls_from_deep", {"thread"});
  ExpectInOrder(violation, {"deep::Innermost::Call(", "deep::Middle<int>(", "deep::Outer(int)"});
  EXPECT_TRUE(absl::StartsWith(violation.stack.back().function, "clone")) << TextOf(violation);
  EXPECT_EQ(violation.stack_end, "outermost function");
}

TEST(ViolationStackTest, IsThereForThoseWhoAskOnly) {
  const Violation violation = Break("calls_from_deep", {}, Trace::kNotAsked);
  EXPECT_EQ(violation.syscall, "reboot");
  EXPECT_TRUE(violation.stack.empty());
  EXPECT_EQ(violation.stack_end, "");
}

TEST(ViolationStackTest, AHostileStackGivesAShortTraceAndTheExactOutcome) {
  for (const char* how : {"nowhere", "loop", "garbage", "edge"}) {
    const Violation violation = Break("bin/calls_with_bad_stack", {how});
    EXPECT_EQ(violation.syscall, "reboot") << how;
    EXPECT_EQ(violation.args[0], 0u);
    EXPECT_EQ(violation.args[1], 0u);
    EXPECT_GE(violation.stack.size(), 1u) << how;
    EXPECT_LE(violation.stack.size(), 4u) << how << TextOf(violation);
    EXPECT_EQ(violation.stack[0].address, violation.instruction_pointer) << how;
    EXPECT_NE(violation.stack_end, "") << how;
    EXPECT_NE(violation.stack_end, "outermost function") << how << TextOf(violation);
  }
}

}  // namespace
}  // namespace brood
