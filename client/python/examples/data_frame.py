"""A pandas data frame: put by one client, read in place by another.

    python data_frame.py

Each column has memory of its own in the node. A frame made of the columns of another one shares
their memory, so that adding a column stores that column alone.
"""

import pandas
import vineyard


def main() -> None:
    with vineyard.connect() as client:
        prices = pandas.DataFrame({"item": ["pen", "ink", "pad"], "price": [1.5, 4.0, 2.5]})
        prices_id = client.put(prices)

        stored = client.get(prices_id)  # read-only, on the node's memory
        orders = stored.assign(count=[10, 2, 4])
        orders_id = client.put(orders)

        total = client.get(orders_id).eval("price * count").sum()
        print(f"{len(orders)} orders for {total}")
        client.delete([orders_id, prices_id])


if __name__ == "__main__":
    main()
