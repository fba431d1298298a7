//! Servers for a whole test program.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use tokio::runtime::Runtime;

use super::{Redis, RedisCluster, RedisSentinel};

/// Redis servers for the conformance checks of a component, by the names of what its setups need. Each is started when the
/// first asks for it and serves all; all end when this is dropped. They live on a runtime of their own, since that of
/// a check ends with it.
///
/// | need | what it provides |
/// |---|---|
/// | `redis` | `{redis}`: the address, `127.0.0.1` with the port |
/// | `redis-password` | `{redis}`, and of a user who may do everything `{redis-user}` and `{redis-user-password}`; `{redis-password}` of the default user |
/// | `redis-tls` | `{redis}`; `{redis-client-cert}` and `{redis-client-key}` as PEM, which it insists on; `{redis-ca}` |
/// | `redis-cluster` | `{redis}`: the addresses of the nodes with commas between |
/// | `redis-sentinel` | `{redis}`: the address of the sentinel, and `{redis-master-name}` |
#[derive(Debug)]
pub struct RedisServers {
    name: String,
    single: Shared<Redis>,
    password: Shared<Redis>,
    tls: Shared<Redis>,
    cluster: Shared<RedisCluster>,
    sentinel: Shared<RedisSentinel>,
    /// Here last: it runs the others.
    runtime: Runtime,
}

/// A server that there is, or is none, or why it did not start.
type Shared<T> = OnceLock<Result<Option<T>, String>>;

impl RedisServers {
    /// None yet, for the test program of a name.
    ///
    /// # Panics
    /// When there can be no runtime.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        Self {
            name: name.to_owned(),
            single: OnceLock::new(),
            password: OnceLock::new(),
            tls: OnceLock::new(),
            cluster: OnceLock::new(),
            sentinel: OnceLock::new(),
            runtime: runtime.expect("start a runtime"),
        }
    }

    /// What the server that is needed provides, by name; `None` where it is unknown, or there is no `redis-server`, which is
    /// noted. To be called outside of a runtime.
    ///
    /// # Panics
    /// When there is no `redis-server` and `CI` is set, and when it does not start.
    #[must_use]
    pub fn provide(&self, need: &str) -> Option<BTreeMap<String, String>> {
        let name = self.name.clone();
        let values = match need {
            "redis" => {
                let start = async move { Redis::start(&name).await };
                vec![("redis", self.shared(&self.single, start)?.host())]
            }
            "redis-password" => {
                let (password, user) = ("open", "sesame");
                let builder = Redis::builder().password(password).user(user, password);
                let start = async move { builder.start(&name).await };
                vec![
                    ("redis", self.shared(&self.password, start)?.host()),
                    ("redis-password", password.to_owned()),
                    ("redis-user", user.to_owned()),
                    ("redis-user-password", password.to_owned()),
                ]
            }
            "redis-tls" => {
                let start = async move { Redis::builder().mutual_tls().start(&name).await };
                let server = self.shared(&self.tls, start)?;
                let certificates = server.certificates();
                vec![
                    ("redis", server.host()),
                    ("redis-ca", certificates.authority.clone()),
                    ("redis-client-cert", certificates.client.clone()),
                    ("redis-client-key", certificates.client_key.clone()),
                ]
            }
            "redis-cluster" => {
                let start = async move { RedisCluster::start(&name).await };
                vec![("redis", self.shared(&self.cluster, start)?.hosts())]
            }
            "redis-sentinel" => {
                let start = async move { RedisSentinel::start(&name).await };
                let pair = self.shared(&self.sentinel, start)?;
                vec![
                    ("redis", pair.hosts()),
                    ("redis-master-name", pair.master_name().to_owned()),
                ]
            }
            _ => return None,
        };
        let values = values.into_iter();
        Some(values.map(|(name, value)| (name.into(), value)).collect())
    }

    /// A server that is started once, by a thread that stays: it would end with the one that asks.
    fn shared<'a, T: Send + 'static>(
        &self,
        server: &'a Shared<T>,
        start: impl Future<Output = Option<T>> + Send + 'static,
    ) -> Option<&'a T> {
        let started = server.get_or_init(|| {
            let started = self.runtime.block_on(self.runtime.spawn(start));
            started.map_err(|error| error.to_string())
        });
        match started {
            Ok(server) => server.as_ref(),
            Err(error) => panic!("start a server for {}: {error}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use rustix::process::test_kill_process;

    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn they_serve_every_thread_and_go_together() {
        let servers = RedisServers::new("they_serve_every_thread_and_go_together");
        let ask = || servers.provide("redis");
        let answers: Vec<_> = thread::scope(|scope| {
            let asking = [(); 2].map(|()| scope.spawn(ask));
            asking.map(|thread| thread.join().unwrap()).into()
        });
        assert_eq!(answers[0], answers[1]);
        assert_eq!(servers.provide("kafka"), None);
        let Some(values) = &answers[0] else {
            return;
        };
        let server = servers.single.get().unwrap().as_ref().unwrap();
        let server = server.as_ref().unwrap();
        assert_eq!(values["redis"], server.host());
        // The threads that asked have ended.
        let pong: String = block_on(server.command(&["PING"]));
        assert_eq!(pong, "PONG");
        for need in ["redis-password", "redis-tls"] {
            let values = servers.provide(need).unwrap();
            assert!(values.len() > 1 && values["redis"] != server.host());
        }
        let ids = [&servers.single, &servers.password, &servers.tls].map(|server| {
            let server = server.get().unwrap().as_ref().unwrap();
            server.as_ref().unwrap().process().pid()
        });
        drop(servers);
        block_on(crate::eventually("they are gone", async || {
            ids.iter().all(|id| test_kill_process(*id).is_err())
        }));
    }
}
