"use client";

import { useEffect, useState } from "react";
import { io } from "socket.io-client";

export default function Page() {
  const [said, setSaid] = useState([]);
  const [socket, setSocket] = useState();

  useEffect(() => {
    const client = io();
    client.on("said", (text) => setSaid((before) => [...before, text]));
    setSocket(client);
    return () => client.close();
  }, []);

  return (
    <main>
      <button type="button" onClick={() => socket?.emit("say", "hello")}>
        Say hello
      </button>
      <ol>
        {said.map((text, i) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: the list only grows
          <li key={i}>{text}</li>
        ))}
      </ol>
    </main>
  );
}
