// Descriptors as arguments of targets.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "launcher/context.h"
#include "sandbox/plan.h"

namespace brood {
namespace {

absl::Status WriteTo(const std::vector<UniqueFd>& pipes, std::string text) {
  for (const UniqueFd& pipe : pipes) {
    if ((fcntl(pipe.get(), F_GETFD) & FD_CLOEXEC) == 0) return absl::InternalError("would pass through an exec");
    if (write(pipe.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      return absl::InternalError("write");
    }
  }
  return absl::OkStatus();
}
BROOD_TARGET(WriteTo);

UniqueFd GiveBack(UniqueFd fd) { return fd; }
BROOD_TARGET(GiveBack);

class ArgumentHandlesTest : public testing::TestWithParam<StartMethod> {
 protected:
  const Context context_{GetParam()};
};

INSTANTIATE_TEST_SUITE_P(StartMethods, ArgumentHandlesTest, testing::Values(StartMethod::kSpawn, StartMethod::kFork, StartMethod::kForkServer),
                         [](const auto& info) { return std::string(StartMethodName(info.param)); });

TEST_P(ArgumentHandlesTest, ManyDescriptorsReachTheTargetInOrder) {
  constexpr int kCount = 300;  // More than one SCM_RIGHTS message holds.
  std::vector<UniqueFd> readers;
  std::vector<UniqueFd> writers;
  for (int i = 0; i < kCount; ++i) {
    int ends[2];
    ASSERT_EQ(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    readers.emplace_back(ends[0]);
    writers.emplace_back(ends[1]);
  }
  const auto strict = CompilePolicy(BuiltinPolicy("strict").value()).value();
  ASSERT_EQ(context_.Call({.policy = strict}, WriteTo, writers, "x"), absl::OkStatus());
  writers.clear();
  for (const UniqueFd& reader : readers) {
    char text[2];
    ASSERT_EQ(read(reader.get(), text, 2), 1);
    EXPECT_EQ(read(reader.get(), text, 2), 0) << "the child is gone, and with it its copies";
  }
}

TEST_P(ArgumentHandlesTest, TheCallerHoldsNoMoreThanBefore) {
  const auto lowest = [] { return UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC)).get(); };
  ASSERT_EQ(context_.Call(WriteTo, std::vector<UniqueFd>(), ""), absl::OkStatus());
  const int before = lowest();
  for (int i = 0; i < 10; ++i) {
    std::vector<UniqueFd> null;
    null.emplace_back(open("/dev/null", O_WRONLY | O_CLOEXEC));
    ASSERT_EQ(context_.Call(WriteTo, null, "x"), absl::OkStatus());
  }
  EXPECT_EQ(lowest(), before);
}

TEST_P(ArgumentHandlesTest, AnInvalidDescriptorIsAnErrorOfTheCallers) {
  EXPECT_EQ(context_.Call(GiveBack, UniqueFd()).status().code(), absl::StatusCode::kResourceExhausted);
}

TEST_P(ArgumentHandlesTest, AResultWithADescriptorIsRefused) {
  const absl::Status status = context_.Call(GiveBack, UniqueFd(open("/dev/null", O_RDONLY | O_CLOEXEC))).status();
  EXPECT_EQ(status.message(), "a result cannot carry descriptors; send them over a connection");
}

}  // namespace
}  // namespace brood
