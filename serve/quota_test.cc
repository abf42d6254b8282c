// What a server gives one client at most, so that a greedy one takes nothing from the others.
#include "serve/quota.h"

#include <sys/wait.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "bootstrap/target.h"
#include "gtest/gtest.h"
#include "launcher/context.h"
#include "launcher/launch_record.h"
#include "sandbox/policy.h"
#include "serve/serve_testing.h"

namespace brood {
namespace {

using internal::Payer;
using internal::ServeQuotas;

ServeOptions With(ServeQuota quota) {
  ServeOptions options;
  options.policy = BuiltinPolicy("none").value();
  options.quota = quota;
  return options;
}

// A connection with a child that lives until it ends, if it was given one.
struct Asked {
  explicit Asked(const std::string& path) : client(path), good("sleep 1000") {
    EXPECT_EQ(client.Launch(good.launch), absl::OkStatus());
    good.CloseTheirs();
    pollfd said = {good.control(), POLLIN, 0};
    GuardianReport note;
    EXPECT_EQ(poll(&said, 1, kWaitMs), 1);
    was_born = recv(good.control(), &note, sizeof(note), 0) > 0;
  }
  RawClient client;
  GoodLaunch good;
  bool was_born = false;
};

// --- targets ---

// How many children it gets from the server before one is refused, and by what; all of which it keeps.
std::string AskUntilRefused(const std::string& server) {
  std::vector<Process> children;
  for (;;) {
    LaunchOptions options = {.argv = {"sleep", "1000"}, .server = server};
    absl::StatusOr<Process> child = Process::Start(options);
    if (!child.ok()) return absl::StrCat(children.size(), " ", child.status().message());
    children.push_back(*std::move(child));
  }
}
BROOD_TARGET(AskUntilRefused);

TEST(QuotaTest, OneTooManyIsRefusedByTheNameOfTheOptionAndTakesNothing) {
  ServeQuotas quotas({.children_per_client = 2, .children_per_user = 3, .children = 4});
  EXPECT_EQ(quotas.Take({1, 0}, {}), absl::OkStatus());
  EXPECT_EQ(quotas.Take({1, 0}, {}), absl::OkStatus());
  const absl::Status third = quotas.Take({1, 0}, {});
  EXPECT_EQ(third.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(third.message(), "request: this client has 2 children, as many as it may have at once; see brood serve --max-children-per-client");
  EXPECT_EQ(quotas.Take({2, 0}, {}), absl::OkStatus());
  EXPECT_TRUE(absl::StrContains(quotas.Take({3, 0}, {}).message(), "this user has 3 children"));
  EXPECT_EQ(quotas.Take({4, 9}, {}), absl::OkStatus());
  EXPECT_TRUE(absl::StrContains(quotas.Take({5, 10}, {}).message(), "the server has 4 children"));
  quotas.GiveBack({1, 0}, {});
  EXPECT_EQ(quotas.Take({3, 0}, {}), absl::OkStatus());
  EXPECT_FALSE(quotas.Take({1, 0}, {}).ok());
}

TEST(QuotaTest, LimitsOfMemoryAddUpForEachClient) {
  ServeQuotas quotas({.memory_per_client = 100});
  EXPECT_EQ(quotas.Take({1, 0}, 60), absl::OkStatus());
  EXPECT_EQ(quotas.Take({1, 0}, 41).message(),
            "request: a limit of 41 bytes of memory, and of 100 that this client may give its children at once 40 are left; see brood serve "
            "--max-memory-per-client");
  EXPECT_EQ(quotas.Take({1, 0}, 40), absl::OkStatus());
  EXPECT_EQ(quotas.Take({2, 0}, 100), absl::OkStatus());
  EXPECT_EQ(quotas.Take({3, 0}, {}).code(), absl::StatusCode::kFailedPrecondition);
  quotas.GiveBack({1, 0}, 60);
  EXPECT_EQ(quotas.Take({1, 0}, 60), absl::OkStatus());
}

TEST(QuotaTest, AGreedyClientGetsAsManyAsItMayAndTheOthersGetTheirs) {
  ServerProcess server(With({.children_per_client = 5}));
  std::vector<std::unique_ptr<Asked>> greedy;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(greedy.emplace_back(std::make_unique<Asked>(server.path()))->was_born);
  for (int i = 0; i < 20; ++i) {
    const Asked more(server.path());
    EXPECT_FALSE(more.was_born);
    EXPECT_EQ(more.client.Refusal().code(), absl::StatusCode::kResourceExhausted);
  }
  // Another process is another client.
  const pid_t other = fork();
  if (other == 0) _exit(Serves(server.path()) ? 0 : 1);
  int status = -1;
  EXPECT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
  // One that ends makes room for one.
  greedy.pop_back();
  bool room = false;
  for (int i = 0; i < kWaitMs && !room; ++i) room = Asked(server.path()).was_born;
  EXPECT_TRUE(room);
}

TEST(QuotaTest, WhatAChildAsksForItsClientPays) {
  ServerProcess server(With({.children_per_client = 4}));
  const Context context(StartMethod::kForkServer, {.server = server.path()});
  EXPECT_EQ(context.Call(AskUntilRefused, server.path()).value_or(""),
            absl::StrCat("3 server ", server.path(), ": request: this client has 4 children, as many as it may have at once; see brood serve ",
                         "--max-children-per-client"));
  EXPECT_EQ(AskUntilRefused(server.path()).substr(0, 2), "4 ");
}

TEST(QuotaTest, AClientWithoutALimitOfMemoryIsToldToHaveOne) {
  ServerProcess server(With({.memory_per_client = uint64_t{1} << 30}));
  const Asked asked(server.path());
  EXPECT_FALSE(asked.was_born);
  EXPECT_TRUE(absl::StrContains(asked.client.Refusal().message(), "its policy has no limit of memory"));
}

}  // namespace
}  // namespace brood
