//! The components that Dapr's runtime has built in, by name.
//!
//! A socket of one of these names replaces that component for every runtime that finds it, silently.

use crate::component::Block;

/// Whether a component of this name replaces one that is built into Dapr's runtime, for this building block.
///
/// ```
/// use dapr_pluggable::{Block, socket::replaces_builtin};
///
/// assert!(replaces_builtin(Block::StateStore, "redis"));
/// assert!(!replaces_builtin(Block::StateStore, "redis-fast"));
/// ```
#[must_use]
pub fn replaces_builtin(block: Block, name: &str) -> bool {
    let names = match block {
        Block::StateStore => STATE,
        Block::PubSub => PUBSUB,
        Block::InputBinding | Block::OutputBinding => BINDINGS,
        Block::SecretStore => SECRET_STORES,
    };
    names.binary_search(&name).is_ok()
}

const STATE: &[&str] = &[
    "aerospike",
    "alicloud.tablestore",
    "aws.dynamodb",
    "azure.blobstorage",
    "azure.cosmosdb",
    "azure.tablestorage",
    "cassandra",
    "clickhouse",
    "cloudflare.workerskv",
    "cockroachdb",
    "coherence",
    "couchbase",
    "etcd",
    "gcp.firestore",
    "hashicorp.consul",
    "hazelcast",
    "in-memory",
    "jetstream",
    "memcached",
    "mongodb",
    "mysql",
    "oci.objectstorage",
    "oracledatabase",
    "postgres",
    "postgresql",
    "ravendb",
    "redis",
    "rethinkdb",
    "sqlite",
    "sqlite3",
    "sqlserver",
    "yugabyte",
    "yugabytedb",
    "zookeeper",
];

const PUBSUB: &[&str] = &[
    "aws.snssqs",
    "azure.eventhubs",
    "azure.servicebus",
    "azure.servicebus.queues",
    "azure.servicebus.topics",
    "gcp.pubsub",
    "hazelcast",
    "in-memory",
    "jetstream",
    "kafka",
    "kubemq",
    "mqtt",
    "mqtt3",
    "natsstreaming",
    "pulsar",
    "rabbitmq",
    "redis",
    "rocketmq",
    "snssqs",
    "solace.amqp",
];

const BINDINGS: &[&str] = &[
    "alicloud.dingtalk.webhook",
    "alicloud.oss",
    "alicloud.sls",
    "alicloud.tablestore",
    "apns",
    "aws.dynamodb",
    "aws.kinesis",
    "aws.s3",
    "aws.ses",
    "aws.sns",
    "aws.sqs",
    "azure.blobstorage",
    "azure.cosmosdb",
    "azure.cosmosdb.gremlinapi",
    "azure.eventgrid",
    "azure.eventhubs",
    "azure.openai",
    "azure.servicebus.queues",
    "azure.servicebusqueues",
    "azure.signalr",
    "azure.storagequeues",
    "cloudflare.queues",
    "commercetools",
    "cron",
    "dingtalk.webhook",
    "dubbo",
    "gcp.bucket",
    "gcp.pubsub",
    "graphql",
    "http",
    "huawei.obs",
    "influx",
    "kafka",
    "kitex",
    "kubemq",
    "kubernetes",
    "localstorage",
    "mqtt",
    "mqtt3",
    "mysql",
    "postgres",
    "postgresql",
    "postmark",
    "rabbitmq",
    "redis",
    "rethinkdb.statechange",
    "rocketmq",
    "sftp",
    "smtp",
    "twilio.sendgrid",
    "twilio.sms",
    "wasm",
    "zeebe.command",
    "zeebe.jobworker",
];

const SECRET_STORES: &[&str] = &[
    "alicloud.parameterstore",
    "aws.parameterstore",
    "aws.secretmanager",
    "aws.secretsmanager",
    "azure.keyvault",
    "gcp.secretmanager",
    "hashicorp.vault",
    "huaweicloud.csms",
    "kubernetes",
    "local.env",
    "local.file",
    "tencentcloud.ssm",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::SocketName;

    #[test]
    fn the_lists_are_sorted_and_hold_names_that_a_socket_can_have() {
        for names in [STATE, PUBSUB, BINDINGS, SECRET_STORES] {
            assert!(names.is_sorted());
            for name in names {
                SocketName::parse(name).unwrap();
            }
        }
    }

    #[test]
    fn each_block_has_its_own_list() {
        assert!(replaces_builtin(Block::PubSub, "kafka"));
        assert!(!replaces_builtin(Block::StateStore, "kafka"));
        assert!(replaces_builtin(Block::SecretStore, "local.file"));
        assert!(replaces_builtin(Block::InputBinding, "cron"));
        assert!(!replaces_builtin(Block::OutputBinding, "memory"));
    }
}
