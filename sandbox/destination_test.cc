#include "sandbox/destination.h"

#include <string>

#include "absl/strings/match.h"
#include "gtest/gtest.h"
#include "sandbox/destination_lookup.h"

namespace brood {
namespace {

Destination Only(std::string_view text) {
  std::vector<ResolvedName> names;
  const absl::StatusOr<std::vector<Destination>> all = ResolveDestination(text, &names);
  EXPECT_TRUE(all.ok()) << all.status();
  if (!all.ok() || all->size() != 1) return {};
  EXPECT_TRUE(names.empty());
  return all->front();
}

TEST(DestinationTest, ReadsAddressesNetworksAndPorts) {
  const Destination host = Only("10.0.0.5:443");
  EXPECT_EQ(host.kind, Destination::Kind::kInet4);
  EXPECT_EQ(host.address[0], 10);
  EXPECT_EQ(host.address[3], 5);
  EXPECT_EQ(host.prefix_bits, 32);
  EXPECT_EQ(host.port, 443);
  EXPECT_EQ(Only("10.0.0.0/8:*").prefix_bits, 8);
  EXPECT_EQ(Only("10.0.0.0/8:*").port, 0);
  const Destination six = Only("[fd00::/8]:80");
  EXPECT_EQ(six.kind, Destination::Kind::kInet6);
  EXPECT_EQ(six.address[0], 0xfd);
  EXPECT_EQ(six.prefix_bits, 8);
  EXPECT_EQ(Only("[::1]:80").prefix_bits, 128);
  EXPECT_EQ(Only("unix:/run/a.sock").path, "/run/a.sock");
  EXPECT_EQ(Only("unix:@name").path, "@name");
}

TEST(DestinationTest, LooksNamesUpAndTellsWhatTheyStoodFor) {
  std::vector<ResolvedName> names;
  const auto all = ResolveDestination("localhost:80", &names);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_FALSE(all->empty());
  EXPECT_EQ(all->front().port, 80);
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].name, "localhost");
  EXPECT_EQ(names[0].addresses.size(), all->size());
}

TEST(DestinationTest, WhatCannotBeMeantIsRefusedWithWhatToWrite) {
  for (const auto& [text, why] : {std::pair{"10.0.0.5", "not HOST:PORT"},
                                  {"10.0.0.5:0", "the port is not 1 to 65535, nor *"},
                                  {"10.0.0.5:65536", "the port is not 1 to 65535, nor *"},
                                  {"10.0.0.5:http", "the port is not 1 to 65535, nor *"},
                                  {"10.0.0.5/8:1", "the address has bits beyond its prefix"},
                                  {"10.0.0.0/33:1", "the prefix is not 0 to 32"},
                                  {"10.0.0.0/:1", "the prefix is not 0 to 32"},
                                  {"10.0.0:1", "not an address, nor a name"},
                                  {"::1:80", "not an address, nor a name"},
                                  {":80", "not an address, nor a name"},
                                  {"a b:80", "not an address, nor a name"},
                                  {"[10.0.0.5]:1", "not an IPv6 address"},
                                  {"[::ffff:10.0.0.5]:1", "an IPv4 address in IPv6's clothes"},
                                  {"unix:relative", "not an absolute path, nor @ and a name"}}) {
    const absl::Status status = CheckDestination(text);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_TRUE(absl::StrContains(status.message(), why)) << text << ": " << status;
  }
}

}  // namespace
}  // namespace brood
